package key

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"slices"
)

// The curve is edwards25519 (RFC 8032 section 5.1): -x² + y² = 1 + d·x²·y² over
// the integers modulo p = 2^255 - 19. An encoding is y, little-endian, with the
// sign of x in the top bit. Everything here handles public values only.

// yOf returns the encoding without the sign bit.
func yOf(enc [32]byte) [32]byte {
	enc[31] &= 0x7f
	return enc
}

// prime returns p, little-endian.
func prime() [32]byte {
	p := [32]byte(bytes.Repeat([]byte{0xff}, 32))
	p[0], p[31] = 0xed, 0x7f
	return p
}

// canonical reports whether y is below p. (A sign bit on x = 0 would also be
// non-canonical; y is then 1 or -1, of small order.)
func canonical(enc [32]byte) bool {
	y, p := yOf(enc), prime()
	for i := 31; i >= 0; i-- {
		if y[i] != p[i] {
			return y[i] < p[i]
		}
	}
	return false
}

// smallOrder reports whether enc decodes to a point whose order divides 8, in any
// encoding. There are eight such points; their y are 0 and ±1 and two values that
// stand for the four points of order 8. p and p+1 are the only other encodings of
// any of them (of 0 and of 1).
func smallOrder(enc [32]byte) bool {
	y := yOf(enc)
	switch hex.EncodeToString(y[:]) {
	case "0000000000000000000000000000000000000000000000000000000000000000", // 0, order 4
		"0100000000000000000000000000000000000000000000000000000000000000", // 1, order 1
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p-1, order 2
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p, which is 0
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": // p+1, which is 1
		return true
	}
	return false
}

// onCurve reports whether enc is the canonical encoding of a point. There is an x
// for y when x² = (y²-1)/(d·y²+1) is a square; numerator times denominator is a
// square exactly when the quotient is one.
func onCurve(enc [32]byte) bool {
	if !canonical(enc) {
		return false
	}
	be := yOf(enc)
	slices.Reverse(be[:])
	pb := prime()
	slices.Reverse(pb[:])
	p := new(big.Int).SetBytes(pb[:])
	y := new(big.Int).SetBytes(be[:])
	// d = -121665/121666
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	one := big.NewInt(1)
	yy := y.Mul(y, y)
	u := new(big.Int).Sub(yy, one)
	v := new(big.Int).Mul(d, yy)
	v.Add(v, one)
	u.Mul(u, v).Mod(u, p)
	return big.Jacobi(u, p) >= 0
}
