package wire

import "golang.org/x/crypto/cryptobyte"

// AppendFinished appends a Finished (section 4.4.4): the HMAC of the transcript hash, as long as the suite's hash.
func AppendFinished(dst, mac []byte) ([]byte, error) {
	return appendMessage(dst, TypeFinished, func(b *cryptobyte.Builder) { b.AddBytes(mac) })
}

// ParseFinished returns the HMAC; size is the length of the suite's hash.
func ParseFinished(body []byte, size int) ([]byte, error) {
	if len(body) != size {
		return nil, malformed(TypeFinished)
	}
	return body, nil
}
