package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/native"
)

// progress is a bar on stderr, or nothing when stderr is no terminal.
type progress struct {
	mu    sync.Mutex
	bars  *mpb.Progress
	bar   *mpb.Bar
	name  string
	part  string // how far that is, if it is known
	total int64
}

// nameWidth is how much of a name the bar shows.
const nameWidth = 40

func (a *app) progress() *progress {
	p := &progress{}
	if !a.quiet && isTerminal(a.stderr) {
		p.bars = mpb.New(mpb.WithOutput(a.stderr), mpb.WithAutoRefresh())
		p.bar = p.bars.AddBar(0,
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return p.shown() }, decor.WC{W: nameWidth, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")))
	}
	return p
}

func (p *progress) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, room := []rune(printable(p.name)), nameWidth-1-len(p.part)
	if len(name) > room {
		name = append([]rune("…"), name[len(name)-room+1:]...)
	}
	return string(name) + p.part
}

// Blob implements native.BlobProgress: the bar is for all of it, and says how far the blob is that moved last.
func (p *progress) Blob(name string, have, size uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name, p.part = name, ""; have < size {
		p.part = fmt.Sprintf(" %2.0f %%", 100*float64(have)/float64(size))
	}
}

// Item implements bridge.Progress. The bar's total grows as items become known.
func (p *progress) Item(name string, size int64) {
	if p.bar == nil {
		return
	}
	p.mu.Lock()
	p.name, p.part = name, ""
	p.total += max(size, 0)
	total := p.total
	p.mu.Unlock()
	p.bar.SetTotal(total, false)
}

// Bytes implements bridge.Progress.
func (p *progress) Bytes(n uint64) {
	if p.bar != nil {
		p.bar.IncrInt64(int64(n))
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

var (
	_ bridge.Progress     = (*progress)(nil)
	_ native.BlobProgress = (*progress)(nil)
)
