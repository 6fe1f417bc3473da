package rpktls

import (
	"bytes"
	"crypto/ecdh"
	"crypto/tls"
	"encoding/hex"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// The trace of RFC 8448, section 3, "Simple 1-RTT Handshake" (TLS_AES_128_GCM_SHA256, X25519).
const (
	rfcClientPrivate = "49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005"
	rfcServerPrivate = "b1580eeadf6dd589b8ef4f2d5652578cc810e9980191ec8d058308cea216a21e"
	rfcShared        = "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d"

	rfcClientHello = "010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece70000061301130313020100" +
		"00910000000b0009000006736572766572ff01000100000a00140012001d001700180019010001010102010301040023" +
		"0000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003" +
		"020304000d0020001e040305030603020308040805080604010501060102010402050206020202002d00020101001c00" +
		"024001"
	rfcServerHello = "020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00330024" +
		"001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304"
	rfcEncryptedExtensions = "080000240022000a00140012001d00170018001901000101010201030104001c0002400100000000"
	rfcCertificate         = "0b0001b9000001b50001b0308201ac30820115a003020102020102300d06092a864886f70d01010b0500300e310c30" +
		"0a06035504031303727361301e170d3136303733303031323335395a170d3236303733303031323335395a300e310c30" +
		"0a0603550403130372736130819f300d06092a864886f70d010101050003818d0030818902818100b4bb498f8279303d" +
		"980836399b36c6988c0c68de55e1bdb826d3901a2461eafd2de49a91d015abbc9a95137ace6c1af19eaa6af98c7ced43" +
		"120998e187a80ee0ccb0524b1b018c3e0b63264d449a6d38e22a5fda430846748030530ef0461c8ca9d9efbfae8ea6d1" +
		"d03e2bd193eff0ab9a8002c47428a6d35a8d88d79f7f1e3f0203010001a31a301830090603551d1304023000300b0603" +
		"551d0f0404030205a0300d06092a864886f70d01010b05000381810085aad2a0e5b9276b908c65f73a7267170618a54c" +
		"5f8a7b337d2df7a594365417f2eae8f8a58c8f8172f9319cf36b7fd6c55b80f21a03015156726096fd335e5e67f2dbf1" +
		"02702e608ccae6bec1fc63a42a99be5c3eb7107c3c54e9b9eb2bd5203b1c3b84e0a8b2f759409ba3eac9d91d402dcc0c" +
		"c8f8961229ac9187b42b4de10000"
	rfcCertificateVerify = "0f000084080400805a747c5d88fa9bd2e55ab085a61015b7211f824cd484145ab3ff52f1fda8477b0b7abc90db78e2d3" +
		"3a5c141a078653fa6bef780c5ea248eeaaa785c4f394cab6d30bbe8d4859ee511f602957b15411ac027671459e46445c" +
		"9ea58c181e818e95b8c3fb0bf3278409d3be152a3da5043e063dda65cdf5aea20d53dfacd42f74f3"
	rfcServerFinished = "140000209b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718"
	rfcClientFinished = "14000020a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61"
	rfcTicket         = "040000c90000001efad6aac502000000b22c035d829359ee5ff7af4ec900000000262a6494dc486d2c8a34cb33fa90bf1b" +
		"0070ad3c498883c9367c09a2be785abc55cd226097a3a982117283f82a03a143efd3ff5dd36d64e861be7fd61d2827db" +
		"279cce145077d454a3664d4e6da4d29ee03725a6a4dafcd0fc67d2aea70529513e3da2677fa5906c5b3f7d8f92f228bd" +
		"a40dda721470f9fbf297b5aea617646fac5c03272e970727c621a79141ef5f7de6505e5bfbc388e93343694093934ae4" +
		"d3570008002a000400000400"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s = %x, want %s", what, got, want)
	}
}

// TestRFC8448KeySchedule walks through the trace and checks every secret that the RFC prints on the way.
func TestRFC8448KeySchedule(t *testing.T) {
	k, err := newSchedule(tls.TLS_AES_128_GCM_SHA256)
	if err != nil {
		t.Fatal(err)
	}
	wantHex(t, "early secret", k.secret, "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a")
	derived, err := k.expand(k.secret, "derived", k.newHash().Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	wantHex(t, "derived", derived, "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba")

	shared := rfcSharedSecret(t)
	k.write(unhex(t, rfcClientHello))
	k.write(unhex(t, rfcServerHello))
	wantHex(t, "hash of hellos", k.sum(), "860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8")
	client, server, err := k.handshake(shared)
	if err != nil {
		t.Fatal(err)
	}
	wantHex(t, "handshake secret", k.secret, "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac")
	wantHex(t, "c hs traffic", client, "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21")
	wantHex(t, "s hs traffic", server, "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")

	for _, m := range []string{rfcEncryptedExtensions, rfcCertificate, rfcCertificateVerify} {
		k.write(unhex(t, m))
	}
	mac, err := k.finished(server)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := wire.AppendFinished(nil, mac)
	if err != nil {
		t.Fatal(err)
	}
	wantHex(t, "server Finished", raw, rfcServerFinished)
	k.write(raw)
	clientApp, serverApp, err := k.application()
	if err != nil {
		t.Fatal(err)
	}
	wantHex(t, "master secret", k.secret, "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919")
	wantHex(t, "c ap traffic", clientApp, "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
	wantHex(t, "s ap traffic", serverApp, "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")

	if mac, err = k.finished(client); err != nil {
		t.Fatal(err)
	}
	if raw, err = wire.AppendFinished(nil, mac); err != nil {
		t.Fatal(err)
	}
	wantHex(t, "client Finished", raw, rfcClientFinished)
}

// rfcSharedSecret computes the shared secret from each side's private key and the other's hello.
func rfcSharedSecret(t *testing.T) []byte {
	t.Helper()
	ch, err := wire.ParseClientHello(unhex(t, rfcClientHello)[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	sh, err := wire.ParseServerHello(unhex(t, rfcServerHello)[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	var secrets [2][]byte
	for i, side := range []struct {
		private string
		share   []byte
	}{{rfcClientPrivate, sh.Share.Data}, {rfcServerPrivate, ch.Share(wire.GroupX25519)}} {
		private, err := ecdh.X25519().NewPrivateKey(unhex(t, side.private))
		if err != nil {
			t.Fatal(err)
		}
		if secrets[i], err = sharedSecret(private, side.share); err != nil {
			t.Fatal(err)
		}
	}
	wantHex(t, "shared secret", secrets[0], rfcShared)
	if !bytes.Equal(secrets[0], secrets[1]) {
		t.Error("the sides disagree about the shared secret")
	}
	return secrets[0]
}

// TestRFC8448Messages parses the trace's messages, and writes back those that can be.
func TestRFC8448Messages(t *testing.T) {
	ch, err := wire.ParseClientHello(unhex(t, rfcClientHello)[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ch.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	wantHex(t, "ClientHello", raw, rfcClientHello)
	sh, err := wire.ParseServerHello(unhex(t, rfcServerHello)[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = sh.Append(nil); err != nil {
		t.Fatal(err)
	}
	wantHex(t, "ServerHello", raw, rfcServerHello)

	// The rest belongs to a handshake with X.509 outside QUIC, so what is wrong with it is known.
	if _, err := wire.ParseEncryptedExtensions(unhex(t, rfcEncryptedExtensions)[wire.HeaderSize:]); alertOf(err) != 110 {
		t.Errorf("EncryptedExtensions with record_size_limit and server_name: %v", err)
	}
	spki, err := wire.ParseCertificate(unhex(t, rfcCertificate)[wire.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsePeerKey(spki); alertOf(err) != 43 {
		t.Errorf("X.509 certificate as a key: %v", err)
	}
	if _, err := wire.ParseCertificateVerify(unhex(t, rfcCertificateVerify)[wire.HeaderSize:]); alertOf(err) != 47 {
		t.Errorf("CertificateVerify with RSA: %v", err)
	}
	if err := wire.ParseNewSessionTicket(unhex(t, rfcTicket)[wire.HeaderSize:]); alertOf(err) != 47 {
		t.Errorf("ticket with max_early_data_size 1024, which QUIC forbids: %v", err)
	}
}
