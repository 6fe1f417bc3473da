package exchange

import "github.com/ipfs/go-cid"

// recent remembers the CIDs that a session has fetched last, and the bytes of
// the newest of them. DAGs have blocks that come again and again (a sparse file
// has little else). To fetch one anew at once would not only cost a round trip:
// a boxo session that has just received a block takes its CID from the list of
// what it wants a moment later, also when it was wanted again in between.
type recent struct {
	byCID map[string]*recentBlock
	order []*recentBlock // oldest first
	fresh int            // index in order of the oldest that has its bytes
	bytes int
}

type recentBlock struct {
	key  string
	data []byte
	has  bool
}

// add remembers a block that was fetched; has tells whether data is to be given
// out.
func (r *recent) add(c cid.Cid, data []byte, has bool) {
	if !has {
		data = nil
	}
	if r.byCID == nil {
		r.byCID = make(map[string]*recentBlock)
	}
	b := &recentBlock{key: c.KeyString(), data: data, has: has}
	r.byCID[b.key] = b
	r.order = append(r.order, b)
	r.bytes += len(data)
	for r.bytes > maxRecent && r.fresh < len(r.order) {
		old := r.order[r.fresh]
		r.bytes -= len(old.data)
		old.data, old.has = nil, false
		r.fresh++
	}
	for len(r.order) > maxRecentCIDs {
		old := r.order[0]
		r.bytes -= len(old.data)
		r.order[0] = nil
		r.order = r.order[1:]
		r.fresh = max(r.fresh-1, 0)
		if r.byCID[old.key] == old {
			delete(r.byCID, old.key)
		}
	}
}

// get returns a block's bytes if they are remembered, and whether its CID is.
func (r *recent) get(c cid.Cid) (data []byte, has, known bool) {
	b := r.byCID[c.KeyString()]
	if b == nil {
		return nil, false, false
	}
	return b.data, b.has, true
}
