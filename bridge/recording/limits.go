package recording

const (
	// MaxEntries bounds the files, folders and symlinks of one tree, against a directory of endless names.
	MaxEntries = 1_000_000

	// MaxDepth bounds the nesting of one tree, against folders within folders made to exhaust the stack.
	MaxDepth = 128

	// blocksAtATime is how many CIDs Blocks hands out at once.
	blocksAtATime = 256
)
