package wire

const (
	// MaxFrame bounds a frame with its type, as iroh does. Against a relay that makes us keep messages of any size. A
	// larger frame that we sent would make the relay drop the one who receives it.
	MaxFrame = 64 << 10

	// datagramHead and batchHead are what is in front of the datagrams, with the type.
	datagramHead = 1 + 32 + 1
	batchHead    = datagramHead + 2

	// MaxDatagrams bounds the bytes of the datagrams in one frame.
	MaxDatagrams = MaxFrame - batchHead

	// maxText bounds a reason or a health text. Against a relay that fills our log.
	maxText = 1 << 10
)
