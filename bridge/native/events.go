package native

import (
	"errors"
	"log/slog"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// pushConfig says who may push.
func pushConfig(c config.Push) provider.PushConfig {
	p := provider.PushConfig{Quota: c.Quota}
	for _, text := range c.Peers {
		if id, err := key.ParseEndpointID(text); err == nil { // Validate has parsed it
			p.Peers = append(p.Peers, id)
		}
	}
	return p
}

// providerLimits says what iroh peers get.
func providerLimits(c config.Provider) provider.Limits {
	limit := func(l config.Limit) provider.Limit {
		return provider.Limit{
			Connections: int(l.Connections), Requests: int(l.Requests), Observers: int(l.Observers),
			RequestRate: l.RequestRate, ByteRate: l.ByteRate,
		}
	}
	return provider.Limits{All: limit(c.All), Peer: limit(c.Peer), Memory: c.Memory, MinRate: c.MinRate}
}

// leaving tells the provider of what was removed and is not deleted yet.
type leaving struct{ *Side }

// Left implements provider.Leaving.
func (l leaving) Left(hash bao.Hash) bool { return l.Stock.Left(l.life, hash) }

// Stay implements provider.Leaving.
func (l leaving) Stay(hash bao.Hash, mark func() error) error { return l.Keeper.Stay(hash, mark) }

// listener hears what the provider does: all of it goes to the log, and what was pushed is remembered.
type listener struct{ *Side }

// Event implements provider.Events.
func (l listener) Event(e provider.Event) {
	push, isPush := e.Request.(blobs.PushRequest)
	level := slog.LevelDebug
	if isPush && (e.Kind == provider.Completed || e.Kind == provider.Aborted) {
		level = slog.LevelInfo
		l.pushed(e, push)
	}
	if e.Kind == provider.Progressed || !l.log.Enabled(l.life, level) {
		return
	}
	l.log.LogAttrs(l.life, level, "iroh "+e.Kind.String(), slog.String("endpoint", e.Peer.ShortString()), slog.Uint64("conn", e.Conn),
		slog.Int64("stream", e.Stream), slog.String("hash", e.Hash.ShortString()), slog.Uint64("bytes", e.Bytes), slog.Bool("push", isPush),
		slog.Duration("took", e.Took), slog.Any("err", e.Err))
}

// pushed remembers who has pushed a blob or sequence, if anything of it is here; of a push that was cut, if it came by one.
func (l listener) pushed(e provider.Event, push blobs.PushRequest) {
	st, err := l.Store.Status(e.Hash)
	came := st.State != store.Missing
	if err == nil && e.Kind == provider.Aborted {
		_, err = l.Store.Tag(provider.PushTag + e.Hash.String())
		if came = err == nil; errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	}
	if err == nil && came {
		err = l.Keeper.Pushed(e.Peer, e.Hash, pushFormat(push))
	}
	if err != nil {
		l.log.Error("a push is not noted", "endpoint", e.Peer.ShortString(), "hash", e.Hash.ShortString(), "err", err)
	}
}

// pushFormat tells whether a push had children of a sequence.
func pushFormat(push blobs.PushRequest) ticket.Format {
	ranges := push.Get.Ranges
	for i, from := range ranges {
		last := i == len(ranges)-1
		if !from.Ranges.IsEmpty() && (last || ranges[i+1].Index > 1) {
			return ticket.HashSeq
		}
	}
	return ticket.Raw
}
