package rpktls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// irohClientHello takes the ClientHello of iroh 1.4.1 out of the first datagram that it sent (RFC 9001, section 5).
func irohClientHello(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/iroh_client_initial.hex")
	if err != nil {
		t.Fatal(err)
	}
	p, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	dcid := p[6 : 6+int(p[5])]
	pos := 6 + len(dcid)
	pos += 1 + int(p[pos]) // source connection id
	if p[pos] != 0 {
		t.Fatal("datagram has a token")
	}
	length := int(p[pos+1]&0x3f)<<8 | int(p[pos+2])
	pos += 3

	k, err := newSchedule(tls.TLS_AES_128_GCM_SHA256)
	if err != nil {
		t.Fatal(err)
	}
	salt, _ := hex.DecodeString("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
	if err := k.extract(dcid, salt); err != nil {
		t.Fatal(err)
	}
	secret := expandN(t, k.secret, "client in", sha256.Size)
	block, _ := aes.NewCipher(expandN(t, secret, "quic hp", 16))
	var mask [16]byte
	block.Encrypt(mask[:], p[pos+4:pos+20])
	p[0] ^= mask[0] & 0x0f
	numberLen := int(p[0]&3) + 1
	nonce := expandN(t, secret, "quic iv", 12)
	for i := range numberLen {
		p[pos+i] ^= mask[1+i]
		nonce[12-numberLen+i] ^= p[pos+i]
	}
	block, _ = aes.NewCipher(expandN(t, secret, "quic key", 16))
	aead, _ := cipher.NewGCM(block)
	plain, err := aead.Open(nil, nonce, p[pos+numberLen:pos+length], p[:pos+numberLen])
	if err != nil {
		t.Fatal(err)
	}
	if plain[0] != 6 || plain[1] != 0 { // CRYPTO at offset 0
		t.Fatalf("first frame is %x", plain[:2])
	}
	n := int(plain[2]&0x3f)<<8 | int(plain[3])
	return plain[4 : 4+n]
}

// expandN is HKDF-Expand-Label for n bytes.
func expandN(t testing.TB, secret []byte, label string, n int) []byte {
	t.Helper()
	k := &schedule{newHash: sha256.New, size: n}
	out, err := k.expand(secret, label, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestIrohClientHello(t *testing.T) {
	raw := irohClientHello(t)
	m, err := wire.ParseClientHello(raw[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) != 281 || !slices.Equal(m.Suites, []uint16{0x1302, 0x1301, 0x1303}) ||
		!slices.Equal(m.Groups, []uint16{0x1d, 0x17, 0x18}) || !slices.Equal(m.Signatures, []uint16{0x0807}) ||
		!slices.Equal(m.ALPN, []string{testALPN}) || !bytes.Equal(m.ClientTypes, []byte{2}) ||
		!bytes.Equal(m.ServerTypes, []byte{2}) || len(m.Shares) != 1 || len(m.Share(wire.GroupX25519)) != 32 ||
		len(m.Extensions) != 12 || wire.Find(m.Extensions, wire.ExtServerName) != nil {
		t.Errorf("not what iroh sent: %+v", m)
	}
	again, err := m.Append(nil)
	if err != nil || !bytes.Equal(again, raw) {
		t.Errorf("written back it is %x, %v", again, err)
	}
}

// TestIrohClientHelloIsAnswered: a server goes as far as it can without the client's ephemeral key.
func TestIrohClientHelloIsAnswered(t *testing.T) {
	server := newSide(Server(serverConfig()))
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	raw := irohClientHello(t)
	if err := server.handle(tls.QUICEncryptionLevelInitial, raw); err != nil {
		t.Fatal(err)
	}
	hello, err := wire.ParseClientHello(raw[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(server.params, hello.Params) {
		t.Errorf("transport parameters %x", server.params)
	}
	out := server.take()
	if len(out) != 2 || out[0].level != tls.QUICEncryptionLevelInitial || out[1].level != tls.QUICEncryptionLevelHandshake {
		t.Fatalf("answer %v", out)
	}
	sh, err := wire.ParseServerHello(out[0].data[wire.HeaderSize:])
	if err != nil || sh.IsRetry || sh.Suite != server.suite || len(sh.Share.Data) != 32 {
		t.Errorf("ServerHello %+v, %v", sh, err)
	}
	// What iroh was seen to accept (and to send): these bytes in the flight.
	for _, want := range []string{"0013000102", "0014000102", "0b000035", "000d000400020807", "0f0000440807"} {
		if !strings.Contains(hex.EncodeToString(out[1].data), want) {
			t.Errorf("%s is not in the flight %x", want, out[1].data)
		}
	}
	if server.done || server.conn.ConnectionState().HandshakeComplete {
		t.Error("handshake complete without a word from the client")
	}
}
