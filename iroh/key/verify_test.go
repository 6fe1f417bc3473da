package key

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
)

// The tests here do the arithmetic of RFC 8032 with big integers, to make what no
// signer makes: points of small order, and signatures that a lax verifier accepts.

type point struct{ x, y *big.Int }

type curve struct{ p, d, order *big.Int }

func newCurve() curve {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return curve{p, d, order.Add(order, new(big.Int).Lsh(big.NewInt(1), 252))}
}

// add is the complete addition law of section 5.1.4, in affine form.
func (c curve) add(a, b point) point {
	mul := func(v ...*big.Int) *big.Int {
		out := big.NewInt(1)
		for _, f := range v {
			out.Mul(out, f).Mod(out, c.p)
		}
		return out
	}
	over := func(num, den *big.Int) *big.Int {
		return mul(num, new(big.Int).ModInverse(new(big.Int).Mod(den, c.p), c.p))
	}
	one := big.NewInt(1)
	t := mul(c.d, a.x, b.x, a.y, b.y)
	return point{
		over(new(big.Int).Add(mul(a.x, b.y), mul(a.y, b.x)), new(big.Int).Add(one, t)),
		over(new(big.Int).Add(mul(a.y, b.y), mul(a.x, b.x)), new(big.Int).Sub(one, t)),
	}
}

// decode finds the point of an encoding, canonical or not.
func (c curve) decode(enc [32]byte) (point, bool) {
	sign := enc[31] >> 7
	y := littleEndian(yOf(enc))
	y.Mod(y, c.p)
	yy := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(yy, big.NewInt(1))
	v := new(big.Int).Mul(c.d, yy)
	v.Add(v, big.NewInt(1))
	x := new(big.Int).Mul(u, new(big.Int).ModInverse(v.Mod(v, c.p), c.p))
	if x.ModSqrt(x.Mod(x, c.p), c.p) == nil {
		return point{}, false
	}
	if x.Bit(0) != uint(sign) {
		x.Sub(c.p, x).Mod(x, c.p)
	}
	return point{x, y}, true
}

func littleEndian(b [32]byte) *big.Int {
	slices.Reverse(b[:])
	return new(big.Int).SetBytes(b[:])
}

func toLittleEndian(v *big.Int) (b [32]byte) {
	v.FillBytes(b[:])
	slices.Reverse(b[:])
	return b
}

// TestSmallOrder checks smallOrder against eight-fold addition: for all small y,
// all y near p, and the listed ones, with both signs.
func TestSmallOrder(t *testing.T) {
	c := newCurve()
	var encodings [][32]byte
	for i := range int64(40) {
		encodings = append(encodings, toLittleEndian(big.NewInt(i)), toLittleEndian(new(big.Int).Add(c.p, big.NewInt(i-20))))
	}
	for _, s := range []string{
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		b, _ := hex.DecodeString(s)
		encodings = append(encodings, [32]byte(b))
	}
	found := map[string]bool{}
	for _, enc := range encodings {
		if enc[31]&0x80 != 0 {
			continue // p+19 and above have no 255-bit form
		}
		for _, sign := range []byte{0, 0x80} {
			enc[31] |= sign
			pt, ok := c.decode(enc)
			small := false
			if ok {
				for range 3 {
					pt = c.add(pt, pt)
				}
				small = pt.x.Sign() == 0 && pt.y.Cmp(big.NewInt(1)) == 0
			}
			if smallOrder(enc) != small {
				t.Errorf("%x: smallOrder %t, arithmetic says %t", enc, smallOrder(enc), small)
			}
			if onCurve(enc) != (ok && littleEndian(yOf(enc)).Cmp(c.p) < 0) {
				t.Errorf("%x: onCurve %t, arithmetic says %t", enc, onCurve(enc), ok)
			}
			if small {
				found[hex.EncodeToString(enc[:])] = true
				if _, err := EndpointIDFromBytes(enc[:]); err == nil {
					t.Errorf("%x is taken for an endpoint id", enc)
				}
			}
		}
	}
	if len(found) != 14 {
		t.Errorf("%d encodings of small order, want 7 values of y with two signs", len(found))
	}
}

func TestVerify(t *testing.T) {
	v, k := vectors(t)
	id, msg := k.ID(), []byte("hello")
	sig, _ := hex.DecodeString(v.Sign)
	if !id.Verify(msg, sig) {
		t.Fatal("iroh's signature is refused")
	}
	for i := range sig {
		bad := slices.Clone(sig)
		bad[i] ^= 0x20
		if id.Verify(msg, bad) {
			t.Errorf("accepted with byte %d changed", i)
		}
	}
	c := newCurve()
	s := littleEndian([32]byte(sig[32:]))
	more := toLittleEndian(s.Add(s, c.order))
	if id.Verify(msg, append(slices.Clone(sig[:32]), more[:]...)) {
		t.Error("a scalar that is not reduced is accepted")
	}
	other, _ := ParseSecretKey(v.Secret2)
	if id.Verify([]byte("hellp"), sig) || other.ID().Verify(msg, sig) || id.Verify(msg, sig[:63]) || id.Verify(msg, nil) {
		t.Error("another message, key or length is accepted")
	}
	if (EndpointID{}).Verify(msg, sig) {
		t.Error("the zero id verifies")
	}
}

// TestVerifyStrict has signatures that crypto/ed25519 accepts and iroh does not.
func TestVerifyStrict(t *testing.T) {
	// With the identity as key and nonce and zero as scalar, every message is signed.
	identityPoint := [32]byte{1}
	sig := append(slices.Clone(identityPoint[:]), make([]byte, 32)...)
	for _, msg := range []string{"", "anything"} {
		if !ed25519.Verify(identityPoint[:], []byte(msg), sig) {
			t.Error("crypto/ed25519 refuses the small-order key by itself now")
		}
		if EndpointID(identityPoint).Verify([]byte(msg), sig) {
			t.Error("a small-order key verifies")
		}
	}
	// The same key with an honest nonce a·B: any scalar a with its point is a
	// signature, since the key adds nothing.
	c := newCurve()
	_, k := vectors(t)
	digest := sha512.Sum512(k.private().Seed())
	scalar := [32]byte(digest[:32])
	scalar[0] &= 248
	scalar[31] = scalar[31]&127 | 64
	id := k.ID()
	reduced := toLittleEndian(new(big.Int).Mod(littleEndian(scalar), c.order))
	forged := append(slices.Clone(id[:]), reduced[:]...)
	if !ed25519.Verify(identityPoint[:], []byte("m"), forged) {
		t.Error("crypto/ed25519 refuses the small-order key by itself now, or the test is wrong")
	}
	if EndpointID(identityPoint).Verify([]byte("m"), forged) {
		t.Error("a small-order key verifies with an honest nonce")
	}
	// The same key written as p+1.
	nonCanonical := toLittleEndian(new(big.Int).Add(c.p, big.NewInt(1)))
	if EndpointID(nonCanonical).Verify([]byte("m"), forged) {
		t.Error("a non-canonical key verifies")
	}
	// An honest key with the identity as nonce: S = hash(R, A, M)·a.
	msg := []byte("hello")
	h := sha512.Sum512(slices.Concat(identityPoint[:], id[:], msg))
	slices.Reverse(h[:])
	s := new(big.Int).Mul(new(big.Int).SetBytes(h[:]), littleEndian(scalar))
	enc := toLittleEndian(s.Mod(s, c.order))
	sig = append(slices.Clone(identityPoint[:]), enc[:]...)
	if !ed25519.Verify(id[:], msg, sig) {
		t.Error("crypto/ed25519 refuses the small-order nonce by itself now, or the test is wrong")
	}
	if id.Verify(msg, sig) {
		t.Error("a small-order nonce is accepted")
	}
}
