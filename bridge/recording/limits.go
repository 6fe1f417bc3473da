package recording

const (
	// MaxEntries bounds the files, folders and symlinks of one tree, against a directory of endless names.
	MaxEntries = 1_000_000

	// MaxDepth bounds the nesting of one tree, against folders within folders made to exhaust the stack.
	MaxDepth = 128
)
