package unixfs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

var profileNames = []string{"unixfs-v1-2025", "unixfs-v0-2015"}

type rootCase struct {
	name string
	tree func() tree
}

// rootCases are the inputs whose roots are compared with Kubo's.
func rootCases(t testing.TB, p Profile) []rootCase {
	t.Helper()
	var cases []rootCase
	add := func(name string, tr func() tree) { cases = append(cases, rootCase{name, tr}) }
	file := func(name string, size int) {
		add("file/"+name, func() tree { return tree{data: content("file", size)} })
	}
	for _, n := range []int{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 1 << 20, 1<<20 + 1} {
		file(fmt.Sprint(n), n)
	}
	file("chunk-1", p.ChunkSize-1)
	file("chunk", p.ChunkSize)
	file("chunk+1", p.ChunkSize+1)
	file("7chunks+5", 7*p.ChunkSize+5)
	if p.Width == 174 {
		file("width", 174*p.ChunkSize)
		file("width+1", 174*p.ChunkSize+1)
		file("width+2chunks", 176*p.ChunkSize)
	}
	add("file/zeros", func() tree { return tree{data: make([]byte, 5<<20)} })

	small := tree{data: []byte("small")}
	add("dir/empty", func() tree { return dir(map[string]tree{}) })
	add("dir/one", func() tree { return dir(map[string]tree{"a": small}) })
	add("dir/nested", func() tree {
		return dir(map[string]tree{
			"a":     dir(map[string]tree{"b": dir(map[string]tree{"c": dir(map[string]tree{"d": small})}), "x": small}),
			"empty": dir(map[string]tree{}),
			"big":   {data: content("big", 3*p.ChunkSize+7)},
			"none":  {},
		})
	})
	add("dir/symlinks", func() tree {
		return dir(map[string]tree{
			"up": {target: "../.."}, "abs": {target: "/etc/passwd"}, "dangling": {target: "no such"},
			"unicode": {target: "zażółć/gęślą"}, "long": {target: strings.Repeat("x/", 2000)}, "f": small,
		})
	})
	add("dir/names", func() tree {
		entries := map[string]tree{}
		for _, name := range oddNames {
			entries[name] = tree{data: []byte(name)}
		}
		return dir(entries)
	})
	add("dir/order", func() tree {
		// Sorting by bytes, by code points, by case or by number differs for these.
		entries := map[string]tree{}
		for _, name := range []string{"a", "B", "A", "b", "a0", "a 0", "a-b", "ab", "10", "9", "é", "e\u0301", "\U0001F600", "\uFB01", "\uFFFD", "Z", "_"} {
			entries[name] = tree{data: []byte(name)}
		}
		return dir(entries)
	})
	for _, over := range []int{-1, 0, 1} {
		add(fmt.Sprintf("dir/threshold%+d", over), func() tree { return atThreshold(p, over) })
		add(fmt.Sprintf("dir/threshold%+d/subdir", over), func() tree {
			tr := atThreshold(p, over)
			// An entry whose Tsize is not yet final when Kubo first adds it, inside another folder.
			return dir(map[string]tree{"in": tr, "also": small})
		})
	}
	for _, n := range []int{2000, 10000} {
		add(fmt.Sprintf("dir/%d", n), func() tree { return dir(numbered(n)) })
	}
	return cases
}

var oddNames = []string{
	" ", "  leading and trailing  ", ".hidden", "...", "..a", "a.", "-rf", "--help", "a\nb", "a\tb", "\x01\x1b[31m", "\x7f",
	`back\slash`, `C:`, "CON", "quote\"'`", "100%", "%2F", "?a=b&c#d", "*", "日本語", "zażółć gęślą jaźń", "\U0001F600",
	"e\u0301", "\u00e9", "\u202egnp", "\xff\xfe not UTF-8", "\xc0\xaf", strings.Repeat("n", 255), "~", "$(x)", ";", "|", "00", "FF", "3A",
}

func numbered(n int) map[string]tree {
	entries := map[string]tree{}
	for i := range n {
		entries[fmt.Sprintf("file-%05d.txt", i)] = tree{data: fmt.Appendf(nil, "content %d", i%7)}
	}
	return entries
}

// atThreshold makes a directory whose estimated size is over bytes above the threshold of the profile. One entry is a
// folder, whose own size counts in the estimate by blocks.
func atThreshold(p Profile, over int) tree {
	f := tree{data: []byte("x")}
	sub := dir(map[string]tree{"inner": {data: content("inner", 300)}})
	entries := map[string]tree{"sub": sub}
	e, err := tryBuild(p, blockMap{}, f)
	if err != nil {
		panic(err)
	}
	se, err := tryBuild(p, blockMap{}, sub)
	if err != nil {
		panic(err)
	}
	cost := func(name string, e Entry) int {
		if p.ShardEstimate == EstimateLinks {
			return len(name) + e.CID.ByteLen()
		}
		return codec.Link{CID: e.CID, Name: name, Tsize: e.TreeSize}.EncodedSize()
	}
	left := p.ShardThreshold + over - cost("sub", se)
	if p.ShardEstimate == EstimateBlock {
		left -= 4 // Data of a directory: tag, length, tag, type
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("entry-%06d", i)
		// The last two names share what is left, so that no length is out of reach.
		if c := cost(name, e); left >= 4*c {
			entries[name] = f
			left -= c
			continue
		}
		for n := len(name); n < 250; n++ {
			longer := name + strings.Repeat("y", n-len(name))
			rest := left - cost(longer, e)
			for m := len(name); m < 250; m++ {
				last := "last-" + strings.Repeat("z", m)
				if cost(last, e) == rest {
					entries[longer], entries[last] = f, f
					return dir(entries)
				}
			}
		}
		panic("no names of the right lengths")
	}
}

// TestRootsAreKubos builds every case and compares its root with what Kubo answered.
func TestRootsAreKubos(t *testing.T) {
	golden := readGolden(t)
	for _, name := range profileNames {
		p := profile(t, name)
		for _, c := range rootCases(t, p) {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				m := blockMap{}
				tr := c.tree()
				e := build(t, p, m, tr)
				if want := golden[c.name][name]; e.CID.String() != want {
					t.Errorf("root %s, Kubo's is %s", e.CID, want)
				}
				r := walk(t, e.CID, m, Limits{})
				sameTree(t, r, tr)
				if len(r.blocks) != len(m) {
					t.Errorf("%d blocks walked, %d built", len(r.blocks), len(m))
				}
			})
		}
	}
}

// TestThresholdIsExact proves that the cases at the threshold are where they claim to be.
func TestThresholdIsExact(t *testing.T) {
	for _, name := range profileNames {
		p := profile(t, name)
		for _, over := range []int{-1, 0, 1} {
			m := blockMap{}
			e := build(t, p, m, atThreshold(p, over))
			root := m[string(e.CID.Hash())]
			n, err := codec.Decode(root)
			if err != nil {
				t.Fatal(err)
			}
			if sharded := n.Type == codec.Shard; sharded != (over > 0) {
				t.Errorf("%s, %+d bytes: sharded %t", name, over, sharded)
			}
			if p.ShardEstimate == EstimateBlock && over <= 0 && len(root) != p.ShardThreshold+over {
				t.Errorf("%s, %+d bytes: the block has %d", name, over, len(root))
			}
		}
	}
}
