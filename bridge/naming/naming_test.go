package naming

import (
	"errors"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

const someCID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"

func TestParseTarget(t *testing.T) {
	h := bao.Sum([]byte("x"))
	blob := ticket.Blob{Addr: ticket.EndpointAddr{ID: key.SecretKeyFromSeed([32]byte{1}).ID()}, Hash: h, Format: ticket.HashSeq}.String()
	for text, want := range map[string]struct {
		hash   bool
		cid    string
		seq    bool
		ticket bool
		err    error
	}{
		h.String():                  {hash: true},
		"s" + h.String():            {hash: true, seq: true},
		blob:                        {hash: true, seq: true, ticket: true},
		someCID:                     {cid: someCID},
		"/ipfs/" + someCID:          {cid: someCID},
		"":                          {err: ErrInvalid},
		"s":                         {err: ErrInvalid},
		"s" + h.String()[1:]:        {err: ErrInvalid},
		"blob":                      {err: ErrInvalid},
		strings.Repeat("x", 10_000): {err: ErrInvalid},
	} {
		got, err := ParseTarget(text)
		if !errors.Is(err, want.err) || err != nil && len(err.Error()) > 300 {
			t.Errorf("%.80s: %v, want %v", text, err, want.err)
		}
		if err != nil {
			continue
		}
		cid := ""
		if got.CID.Defined() {
			cid = got.CID.String()
		}
		if (got.Hash == h) != want.hash || cid != want.cid || got.Seq != want.seq || (got.Ticket != nil) != want.ticket || got.Text != text {
			t.Errorf("%.80s: %+v", text, got)
		}
	}
}

func TestParseSought(t *testing.T) {
	h := bao.Sum([]byte("x"))
	a, b := ticket.EndpointAddr{ID: key.SecretKeyFromSeed([32]byte{1}).ID()}, ticket.EndpointAddr{ID: key.SecretKeyFromSeed([32]byte{2}).ID()}
	text := ticket.Blob{Addr: a, Hash: h}.String()
	got, err := ParseSought(text, false, []string{b.ID.String(), b.ID.Base32(), ticket.Endpoint{Addr: b}.String(), text})
	if err != nil || got.Hash != h || got.Format != ticket.Raw || len(got.From) != 5 || got.From[0].ID != a.ID || got.From[1].ID != b.ID || got.From[2].ID != b.ID || got.From[3].ID != b.ID || got.From[4].ID != a.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseSought(h.String(), true, nil); err != nil || got.Format != ticket.HashSeq || len(got.From) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []struct {
		text string
		from []string
	}{{someCID, nil}, {h.String(), []string{"nobody"}}, {h.String(), []string{""}}, {"x", nil}} {
		if _, err := ParseSought(bad.text, false, bad.from); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
