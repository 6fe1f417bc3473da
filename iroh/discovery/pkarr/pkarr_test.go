package pkarr_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/iroh-ipfs/bridge/iroh/discovery/pkarr"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// vector is one of testdata/pkarr.json: DNS messages made by iroh-dns 1.4.1, signed with the key of seed 32 times 01,
// and accepted by iroh-dns-server 1.4.1.
type vector struct {
	Name     string
	DNS      string `json:"dns_packet_hex"`
	Payload  string `json:"relay_payload_hex"`
	Packet   string `json:"signed_packet_hex"`
	DNSName  string `json:"dns_name"`
	HTTPPath string `json:"http_path"`
	Micros   uint64 `json:"timestamp_micros"`
	TTL      uint32
	TXT      []string
}

func vectors(t testing.TB) (list []vector) {
	t.Helper()
	b, err := os.ReadFile("testdata/pkarr.json")
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil || len(list) != 2 {
		t.Fatalf("%d vectors, %v", len(list), err)
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func secret() key.SecretKey {
	return key.SecretKeyFromSeed([32]byte(bytes.Repeat([]byte{1}, 32)))
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			id := secret().ID()
			want := record.Parse(id, v.TXT)
			signed, err := pkarr.Sign(secret(), want, v.Micros, v.TTL)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(signed.Bytes()); got != v.Packet {
				t.Errorf("packet\ngot  %s\nwant %s", got, v.Packet)
			}
			if got := hex.EncodeToString(signed.Payload()); got != v.Payload {
				t.Errorf("payload\ngot  %s\nwant %s", got, v.Payload)
			}
			for _, parse := range []func() (pkarr.Packet, error){
				func() (pkarr.Packet, error) { return pkarr.Parse(unhex(t, v.Packet)) },
				func() (pkarr.Packet, error) { return pkarr.ParsePayload(id, unhex(t, v.Payload)) },
			} {
				p, err := parse()
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(p, signed) || !p.Record().Equal(want) || p.ID() != id {
					t.Errorf("got %+v, want %+v", p.Record(), want)
				}
				if p.Micros() != v.Micros || p.TTL() != time.Duration(v.TTL)*time.Second || !p.Time().Equal(time.Unix(1_700_000_000, 0)) {
					t.Errorf("timestamp %d, TTL %s, time %s", p.Micros(), p.TTL(), p.Time())
				}
			}
			if !strings.HasPrefix(v.DNSName, pkarr.Name(id)) {
				t.Errorf("name %s, want the start of %s", pkarr.Name(id), v.DNSName)
			}
		})
	}
}

// sign signs any DNS message.
func sign(k key.SecretKey, micros uint64, message []byte) []byte {
	id := k.ID()
	b := append(id[:], k.Sign(append(fmt.Appendf(nil, "3:seqi%de1:v%d:", micros, len(message)), message...))...)
	return append(binary.BigEndian.AppendUint64(b, micros), message...)
}

// answers makes a DNS message of resources.
func answers(t testing.TB, list ...dnsmessage.Resource) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: list}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func txt(name string, ttl uint32, texts ...string) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   &dnsmessage.TXTResource{TXT: texts},
	}
}

func TestHostilePackets(t *testing.T) {
	good := unhex(t, vectors(t)[1].Packet)
	flip := func(at int) []byte { b := bytes.Clone(good); b[at] ^= 1; return b }
	other := key.SecretKeyFromSeed([32]byte{2})
	foreign := other.ID()
	long := answers(t, txt(pkarr.Name(secret().ID()), 30, "addr=192.0.2.1:1"))
	long[bytes.LastIndexByte(long, byte(len("addr=192.0.2.1:1")))] = 255
	for name, test := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":                  {nil, pkarr.ErrPacket},
		"one byte short":         {good[:103], pkarr.ErrPacket},
		"oversized":              {sign(secret(), 1, make([]byte, pkarr.MaxMessage+1)), pkarr.ErrPacket},
		"no message":             {sign(secret(), 1, nil), pkarr.ErrPacket},
		"another key's packet":   {append(foreign[:], good[32:]...), pkarr.ErrSignature},
		"signature flipped":      {flip(40), pkarr.ErrSignature},
		"timestamp flipped":      {flip(103), pkarr.ErrSignature},
		"message flipped":        {flip(len(good) - 1), pkarr.ErrSignature},
		"message cut":            {good[:len(good)-1], pkarr.ErrSignature},
		"byte appended":          {append(bytes.Clone(good), 0), pkarr.ErrSignature},
		"key of small order":     {append(append([]byte{1}, make([]byte, 31)...), good[32:]...), pkarr.ErrPacket},
		"not a point":            {append(append([]byte{2}, make([]byte, 31)...), good[32:]...), pkarr.ErrPacket},
		"signed, cut message":    {sign(secret(), 1, good[104:len(good)-1]), pkarr.ErrPacket},
		"signed, pointer loop":   {sign(secret(), 1, []byte{0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 30, 0, 0}), pkarr.ErrPacket},
		"signed, text too long":  {sign(secret(), 1, long), pkarr.ErrPacket},
		"signed, counts too big": {sign(secret(), 1, []byte{0, 0, 0x80, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), pkarr.ErrPacket},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := pkarr.Parse(test.in); !errors.Is(err, test.want) || !p.IsZero() {
				t.Errorf("got %v, %v; want %v", p, err, test.want)
			}
		})
	}
	if _, err := pkarr.ParsePayload(foreign, good[32:]); !errors.Is(err, pkarr.ErrSignature) {
		t.Errorf("a payload under another id: %v", err)
	}
	if _, err := pkarr.ParsePayload(foreign, make([]byte, 1<<20)); !errors.Is(err, pkarr.ErrPacket) {
		t.Errorf("a megabyte: %v", err)
	}
}

func TestOnlyTheOwnersRecordsCount(t *testing.T) {
	id := secret().ID()
	name, foreign := pkarr.Name(id), pkarr.Name(key.SecretKeyFromSeed([32]byte{2}).ID())
	chaos := txt(name, 1, "addr=192.0.2.66:1")
	chaos.Header.Class = dnsmessage.ClassCHAOS
	message := answers(t,
		txt(foreign, 1, "addr=192.0.2.1:1"),
		txt(id.Z32()+".", 1, "addr=192.0.2.2:1"),
		txt("_iroh.", 1, "addr=192.0.2.3:1"),
		txt(name, 7, "addr=192.0.2", ".4:1"),
		txt(strings.ToUpper(name), 300, "addr=192.0.2.5:1"),
		chaos,
		dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}},
		},
	)
	p, err := pkarr.Parse(sign(secret(), 1, message))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Record().Addr.Direct); got != "[192.0.2.4:1 192.0.2.5:1]" {
		t.Errorf("addresses %s", got)
	}
	if p.TTL() != 7*time.Second {
		t.Errorf("TTL %s", p.TTL())
	}
	empty, err := pkarr.Parse(sign(secret(), 1, answers(t)))
	if err != nil || !empty.Record().Empty() || empty.TTL() != 0 {
		t.Errorf("a packet without records: %+v, TTL %s, %v", empty.Record(), empty.TTL(), err)
	}
}

func TestSignRefusesWhatDoesNotFit(t *testing.T) {
	var r record.Record
	for i := range record.MaxDirect {
		r.Addr.Direct = append(r.Addr.Direct, netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, byte(i)}), 65535))
	}
	if _, err := pkarr.Sign(secret(), r, 1, 30); !errors.Is(err, pkarr.ErrTooLarge) {
		t.Errorf("too many addresses: %v", err)
	}
	r = record.New(ticket.EndpointAddr{Relays: []string{"https://r.example/?a=b"}})
	if _, err := pkarr.Sign(secret(), r, 1, 30); !errors.Is(err, record.ErrUnpublishable) {
		t.Errorf("a relay that iroh would cut: %v", err)
	}
}

func TestNewer(t *testing.T) {
	make := func(micros uint64, address string) pkarr.Packet {
		r := record.New(ticket.EndpointAddr{Direct: []netip.AddrPort{netip.MustParseAddrPort(address)}})
		p, err := pkarr.Sign(secret(), r, micros, 30)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// From the oldest to the newest; the last timestamp lies far beyond any clock and any time.Time.
	order := []pkarr.Packet{{}, make(1, "192.0.2.9:1"), make(2, "192.0.2.1:1"), make(2, "192.0.2.2:1"), make(math.MaxUint64, "192.0.2.1:1")}
	for i, a := range order {
		for j, b := range order {
			if a.Newer(b) != (i > j) {
				t.Errorf("%d newer than %d: %v", i, j, a.Newer(b))
			}
		}
	}
	future, err := pkarr.Parse(order[4].Bytes())
	if err != nil || future.Micros() != math.MaxUint64 || future.Time().Before(time.Now()) {
		t.Errorf("a timestamp in the future: %s, %v", future.Time(), err)
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Packet))
	}
	id := secret().ID()
	f.Add(sign(secret(), math.MaxUint64, answers(f, txt(pkarr.Name(id), 0, "addr=1_00", "x"), txt("a.b.", 1, "c"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		// As it is; and with a good signature, so that the DNS message is reached.
		check(t, b)
		if len(b) >= 104 {
			check(t, sign(secret(), binary.BigEndian.Uint64(b[96:]), b[104:]))
		}
	})
}

func check(t *testing.T, b []byte) {
	p, err := pkarr.Parse(b)
	if err != nil {
		if !p.IsZero() || !errors.Is(err, pkarr.ErrPacket) && !errors.Is(err, pkarr.ErrSignature) {
			t.Fatalf("%v with %v", p, err)
		}
		return
	}
	if !bytes.Equal(p.Bytes(), b) || len(b) > pkarr.MaxPacket || p.Newer(p) {
		t.Fatalf("%x became %x", b, p.Bytes())
	}
	again, err := pkarr.ParsePayload(p.ID(), p.Payload())
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Fatalf("the payload alone: %v", err)
	}
	if !p.Record().Equal(p.Record().Usable()) {
		t.Fatalf("not usable: %+v", p.Record())
	}
}

func BenchmarkParse(b *testing.B) {
	raw := unhex(b, vectors(b)[1].Packet)
	for b.Loop() {
		if _, err := pkarr.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleSign() {
	k := key.SecretKeyFromSeed([32]byte(bytes.Repeat([]byte{1}, 32)))
	r := record.New(ticket.EndpointAddr{Relays: []string{"https://relay.example.com./"}})
	p, err := pkarr.Sign(k, r, 1700000000000000, pkarr.DefaultTTL)
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := pkarr.ParsePayload(k.ID(), p.Payload())
	fmt.Println(got.Record().Addr.Relays, got.Time().UTC(), err)
	// Output: [https://relay.example.com./] 2023-11-14 22:13:20 +0000 UTC <nil>
}
