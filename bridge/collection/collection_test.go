package collection

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/mapping"
)

// read returns a reader over a collection's names, which are all that Read asks for.
func read(meta []byte) func(bao.Hash) ([]byte, error) {
	return func(h bao.Hash) ([]byte, error) {
		if h != bao.Sum(meta) {
			return nil, errors.New("another blob was asked for")
		}
		return meta, nil
	}
}

// walk lists everything below dir, depth first, folders with a slash.
func walk(t *testing.T, tree *Tree, dir string) []string {
	t.Helper()
	items, err := tree.List(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range items {
		name := strings.TrimPrefix(dir+"/"+it.Name, "./")
		if it.Kind == unixfs.KindDirectory {
			got = append(append(got, name+"/"), walk(t, tree, name)...)
			continue
		}
		got = append(got, name+"="+tree.Hash(it.Index).String()[:2])
	}
	return got
}

func TestCollectionIsATreeInPathOrder(t *testing.T) {
	// A folder sorts before its siblings with longer names, whatever byte follows: a/ before a-b.
	c := blobs.Collection{
		Names:  []string{"z", "a-b", "a/z", "b/c/d", "a/y", "a b", "b/c/e", "b/a"},
		Hashes: []bao.Hash{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}},
	}
	meta := c.Meta()
	tree, err := Read(c.HashSeq(bao.Sum(meta)), read(meta))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a/", "a/y=05", "a/z=03", "a b=06", "a-b=02", "b/", "b/a=08", "b/c/", "b/c/d=04", "b/c/e=07", "z=01"}
	if diff := cmp.Diff(want, walk(t, tree, ".")); diff != "" {
		t.Error(diff)
	}
	if tree.Format != mapping.FormatCollection || tree.Meta != bao.Sum(meta) {
		t.Errorf("%+v", tree)
	}
}

func TestEmptyCollection(t *testing.T) {
	meta := blobs.Collection{}.Meta()
	tree, err := Read(blobs.Collection{}.HashSeq(bao.Sum(meta)), read(meta))
	if err != nil || tree.Format != mapping.FormatCollection || len(walk(t, tree, ".")) != 0 {
		t.Errorf("%+v, %v", tree, err)
	}
}

func TestHashSequenceWithoutNamesIsNumbered(t *testing.T) {
	for _, count := range []int{0, 1, 10, 11, 101} {
		var hashes []bao.Hash
		for i := range count {
			hashes = append(hashes, bao.Hash{byte(i), 1})
		}
		tree, err := Read(blobs.AppendHashSeq(nil, hashes), func(bao.Hash) ([]byte, error) { return []byte("no names"), nil })
		if err != nil {
			t.Fatal(err)
		}
		got := walk(t, tree, ".")
		if tree.Format != mapping.FormatHashSeq || len(got) != count {
			t.Fatalf("%d: %+v", count, got)
		}
		for i, name := range got {
			if want := fmt.Sprintf("%0*d=%02x", len(fmt.Sprint(max(count-1, 0))), i, i); name != want {
				t.Errorf("%d: file %d is %s, want %s", count, i, name, want)
			}
		}
	}
	// A first blob that is too large to be names is a file like any other.
	tree, err := Read(blobs.AppendHashSeq(nil, []bao.Hash{{1}}), func(bao.Hash) ([]byte, error) { return nil, ErrTooLarge })
	if err != nil || tree.Format != mapping.FormatHashSeq {
		t.Errorf("%+v, %v", tree, err)
	}
}

func TestWhatIsNoTreeIsRefused(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		names []string
		cut   int
		want  error
	}{
		"parent":          {[]string{"../x"}, 0, recording.ErrContent},
		"absolute":        {[]string{"/x"}, 0, recording.ErrContent},
		"twice":           {[]string{"x", "x"}, 0, recording.ErrContent},
		"file and folder": {[]string{"x", "x/y"}, 0, recording.ErrContent},
		"odd length":      {[]string{"x"}, 1, recording.ErrContent},
		"a hash missing":  {[]string{"x", "y"}, 32, recording.ErrContent},
	} {
		t.Run(name, func(t *testing.T) {
			c := blobs.Collection{Names: tc.names, Hashes: make([]bao.Hash, len(tc.names))}
			meta := c.Meta()
			seq := c.HashSeq(bao.Sum(meta))
			if _, err := Read(seq[:len(seq)-tc.cut], read(meta)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	if _, err := Read(make([]byte, 32), func(bao.Hash) ([]byte, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

// FuzzRead reads sequences and names of strangers as a tree: every file of it is found by listing it from the top, once,
// under a name that stays inside.
func FuzzRead(f *testing.F) {
	for _, names := range [][]string{{}, {"a"}, {"z", "a-b", "a/z", "b/c/d", "a/y", "a b"}, {"a", "a/b"}, {"../a"}} {
		c := blobs.Collection{Names: names, Hashes: make([]bao.Hash, len(names))}
		f.Add(c.HashSeq(bao.Sum(c.Meta())), c.Meta())
	}
	f.Add(make([]byte, 33), []byte(nil))
	f.Add(make([]byte, 32*12), []byte("no names"))
	f.Fuzz(func(t *testing.T, seq, meta []byte) {
		tree, err := Read(seq, func(bao.Hash) ([]byte, error) { return meta, nil })
		if err != nil {
			if !errors.Is(err, recording.ErrContent) {
				t.Fatal(err)
			}
			return
		}
		files := map[string]bool{}
		for _, name := range walk(t, tree, ".") {
			if strings.HasSuffix(name, "/") {
				continue
			}
			name = name[:len(name)-len("=00")]
			if !filepath.IsLocal(name) || files[name] {
				t.Errorf("%q is outside, or there twice", name)
			}
			files[name] = true
		}
		want := len(seq) / 32
		if tree.Format == mapping.FormatCollection {
			want-- // the names
		}
		if len(files) != want {
			t.Errorf("%d files of %d", len(files), want)
		}
	})
}
