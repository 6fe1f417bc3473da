package wire

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// ParseGone reads the body of an EndpointGone: an endpoint that had sent to us has left the relay.
func ParseGone(body []byte) (id key.EndpointID, err error) {
	if len(body) != len(id) {
		return id, ErrSize
	}
	return key.EndpointID(body), nil
}

// AppendGone appends an EndpointGone frame.
func AppendGone(b []byte, id key.EndpointID) []byte {
	return append(append(b, byte(EndpointGone)), id[:]...)
}

// PingData tells pings apart.
type PingData [8]byte

// ParsePing reads the body of a Ping or a Pong.
func ParsePing(body []byte) (data PingData, err error) {
	if len(body) != len(data) {
		return data, ErrSize
	}
	return PingData(body), nil
}

// AppendPing appends a Ping frame.
func AppendPing(b []byte, data PingData) []byte { return append(append(b, byte(Ping)), data[:]...) }

// AppendPong appends a Pong frame.
func AppendPong(b []byte, data PingData) []byte { return append(append(b, byte(Pong)), data[:]...) }

// ParseHealth reads the body of a Health: a sentence about what is wrong, empty when nothing is.
func ParseHealth(body []byte) (problem string, err error) {
	if len(body) > maxText {
		return "", ErrSize
	}
	if !utf8.Valid(body) {
		return "", ErrText
	}
	return string(body), nil
}

// AppendHealth appends a Health frame.
func AppendHealth(b []byte, problem string) []byte {
	return append(append(b, byte(Health)), problem...)
}

// Restart is a relay's notice that it is about to restart.
type Restart struct {
	ReconnectIn time.Duration // after which to connect again
	TryFor      time.Duration // for which connecting may fail
}

// ParseRestart reads the body of a Restarting.
func ParseRestart(body []byte) (r Restart, err error) {
	if len(body) != 8 {
		return r, ErrSize
	}
	r.ReconnectIn = time.Duration(binary.BigEndian.Uint32(body)) * time.Millisecond
	r.TryFor = time.Duration(binary.BigEndian.Uint32(body[4:])) * time.Millisecond
	return r, nil
}

// AppendRestart appends a Restarting frame; times are cut to milliseconds.
func AppendRestart(b []byte, r Restart) []byte {
	b = binary.BigEndian.AppendUint32(append(b, byte(Restarting)), uint32(r.ReconnectIn.Milliseconds()))
	return binary.BigEndian.AppendUint32(b, uint32(r.TryFor.Milliseconds()))
}

// Condition is the body of a Status.
type Condition uint8

// Conditions that a relay reports. Others may come and mean nothing to us.
const (
	Healthy      Condition = 0
	SameEndpoint Condition = 1 // somebody with the same key connected after us and gets the packets
	RateLimited  Condition = 2
)

// ParseStatus reads the body of a Status; what follows the first byte is for later versions of the protocol.
func ParseStatus(body []byte) (Condition, error) {
	if len(body) == 0 {
		return 0, ErrSize
	}
	return Condition(body[0]), nil
}

// AppendStatus appends a Status frame.
func AppendStatus(b []byte, c Condition) []byte { return append(b, byte(Status), byte(c)) }
