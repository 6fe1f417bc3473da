package wire

import "errors"

// Type says what a frame is.
type Type uint8

// The types of frames.
const (
	ServerChallenge       Type = 0
	ClientAuth            Type = 1
	ServerConfirmsAuth    Type = 2
	ServerDeniesAuth      Type = 3
	ClientToRelayDatagram Type = 4
	ClientToRelayBatch    Type = 5
	RelayToClientDatagram Type = 6
	RelayToClientBatch    Type = 7
	EndpointGone          Type = 8
	Ping                  Type = 9
	Pong                  Type = 10
	Health                Type = 11
	Restarting            Type = 12
	Status                Type = 13
)

// Errors of the parsers.
var (
	ErrEmpty = errors.New("frame without a type")
	ErrType  = errors.New("frame of an unknown type")
	ErrSize  = errors.New("frame body of a wrong size")
	ErrText  = errors.New("frame text is not UTF-8")
)

// ParseType takes a frame apart into its type and its body. Types are below 64, so that a longer varint, with which none
// of them is written, is an unknown type.
func ParseType(frame []byte) (Type, []byte, error) {
	if len(frame) == 0 {
		return 0, nil, ErrEmpty
	}
	if frame[0] > byte(Status) {
		return 0, nil, ErrType
	}
	return Type(frame[0]), frame[1:], nil
}
