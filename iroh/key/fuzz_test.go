package key

import "testing"

func FuzzParseEndpointID(f *testing.F) {
	v, k := vectors(f)
	f.Add(v.Hex)
	f.Add(v.Base32)
	f.Add(v.Z32)
	f.Add("0100000000000000000000000000000000000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseEndpointID(s)
		if err != nil {
			if !id.IsZero() {
				t.Errorf("%q: an id came with %v", s, err)
			}
			return
		}
		for _, text := range []string{id.String(), id.Base32()} {
			if back, err := ParseEndpointID(text); back != id || err != nil {
				t.Errorf("%q gives %v, which gives %v, %v", s, id, back, err)
			}
		}
		if back, err := EndpointIDFromSPKI(id.SPKI()); back != id || err != nil {
			t.Errorf("%v has an SPKI that gives %v, %v", id, back, err)
		}
		if id != k.ID() && id.Verify([]byte("hello"), k.Sign([]byte("hello"))) {
			t.Errorf("%v verifies a signature of another key", id)
		}
	})
}
