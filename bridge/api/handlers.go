package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/doctor"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/peers"
)

// Local makes the service of an open bridge.
func Local(b *bridge.Bridge) Service { return local{b} }

type local struct{ *bridge.Bridge }

func (l local) Peers(context.Context) (peers.List, error) { return l.Bridge.Peers(), nil }

func (l local) Open(ctx context.Context, target string, p bridge.Progress) (Reading, error) {
	e, err := l.Bridge.Open(ctx, target, p)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// Error implements error: it is what happened, in the bridge's words.
func (p *Problem) Error() string { return p.Detail }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// VersionInfo is what version answers.
type VersionInfo struct {
	Version string `json:"version"`
}

type handlers struct{ cfg Config }

type bodyOf[T any] struct{ Body T }

type targetInput struct {
	Target string `path:"target" maxLength:"8192" doc:"CID, BLAKE3 hash or blob ticket"`
}

func (h *handlers) register(api huma.API) {
	events := map[string]*huma.Response{
		"200": {Description: "NDJSON: any number of item, bytes, finding and observed events, then one done or error",
			Content: map[string]*huma.MediaType{"application/x-ndjson": {
				Schema: api.OpenAPI().Components.Schemas.Schema(eventType, true, "Event"),
			}}},
	}
	op := func(method, path, id, summary string, responses map[string]*huma.Response) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/api/v1" + path, Summary: summary, Responses: responses}
	}
	huma.Register(api, op("POST", "/add", "add", "Add a file or folder of the bridge's machine", events), h.add)
	huma.Register(api, op("POST", "/expose", "expose", "Make iroh content reachable from IPFS", events), h.expose)
	huma.Register(api, op("POST", "/import", "import", "Bring IPFS content into the iroh node", events), h.importing)
	huma.Register(api, op("POST", "/fetch", "fetch", "Fetch iroh content and keep it, without a CID", events), h.fetch)
	huma.Register(api, op("POST", "/push", "push", "Bring content that is here to another iroh node", events), h.push)
	huma.Register(api, op("POST", "/observe", "observe", "Follow what another iroh node has of a blob", events), h.observe)
	huma.Register(api, op("POST", "/verify", "verify", "Hash everything, and repair the index if asked", events), h.verify)
	huma.Register(api, op("GET", "/map/{target}", "map", "Every name of a content", nil), h.mapping)
	huma.Register(api, op("DELETE", "/links/{target}", "remove", "Unlink a content", nil), h.remove)
	huma.Register(api, op("GET", "/ticket/{target}", "ticket", "A ticket of something here", nil), h.ticket)
	huma.Register(api, op("GET", "/peers", "peers", "Connections on both networks", nil), h.peers)
	huma.Register(api, op("GET", "/doctor", "doctor", "What works and what does not, in words and numbers; takes some seconds", nil), h.doctor)
	huma.Register(api, op("GET", "/id", "id", "Who this bridge is on both networks", nil), h.id)
	huma.Register(api, op("GET", "/version", "version", "The bridge's version", nil), h.version)
	huma.Register(api, op("GET", "/links", "list", "Everything linked", map[string]*huma.Response{
		"200": {Description: "NDJSON: one content a line; the stream is cut if reading them failed",
			Content: map[string]*huma.MediaType{"application/x-ndjson": {
				Schema: api.OpenAPI().Components.Schemas.Schema(contentType, true, "Content"),
			}}},
	}), h.list)
	binary := &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	huma.Register(api, op("GET", "/content/{target}", "content", "A file's bytes, or a folder as a tar stream", map[string]*huma.Response{
		"200": {Description: "verified bytes; the connection is cut if they cannot be read to the end",
			Content: map[string]*huma.MediaType{"application/octet-stream": binary, "application/x-tar": binary}},
	}), h.content)
}

func (h *handlers) add(_ context.Context, in *bodyOf[bridge.AddRequest]) (*huma.StreamResponse, error) {
	return streaming(func(ctx context.Context, s *stream) (Event, error) {
		c, err := h.cfg.Service.Add(ctx, in.Body, s)
		return Event{Content: &c}, err
	}), nil
}

func (h *handlers) expose(_ context.Context, in *bodyOf[bridge.ExposeRequest]) (*huma.StreamResponse, error) {
	return streaming(func(ctx context.Context, s *stream) (Event, error) {
		c, err := h.cfg.Service.Expose(ctx, in.Body, s)
		return Event{Content: &c}, err
	}), nil
}

func (h *handlers) importing(_ context.Context, in *bodyOf[bridge.ImportRequest]) (*huma.StreamResponse, error) {
	return streaming(func(ctx context.Context, s *stream) (Event, error) {
		c, err := h.cfg.Service.Import(ctx, in.Body, s)
		return Event{Content: &c}, err
	}), nil
}

func (h *handlers) fetch(_ context.Context, in *bodyOf[native.FetchRequest]) (*huma.StreamResponse, error) {
	return streaming(func(ctx context.Context, s *stream) (Event, error) {
		f, err := h.cfg.Service.Fetch(ctx, in.Body, s)
		return Event{Fetched: &f}, err
	}), nil
}

func (h *handlers) push(_ context.Context, in *bodyOf[native.PushRequest]) (*huma.StreamResponse, error) {
	return streaming(func(ctx context.Context, s *stream) (Event, error) {
		p, err := h.cfg.Service.Push(ctx, in.Body, s)
		return Event{Pushed: &p}, err
	}), nil
}

func (h *handlers) observe(_ context.Context, in *bodyOf[native.ObserveRequest]) (*huma.StreamResponse, error) {
	return streaming(func(ctx context.Context, s *stream) (Event, error) {
		return Event{}, h.cfg.Service.Observe(ctx, in.Body, s.observed)
	}), nil
}

func (h *handlers) verify(_ context.Context, in *bodyOf[bridge.VerifyRequest]) (*huma.StreamResponse, error) {
	return streaming(func(ctx context.Context, s *stream) (Event, error) {
		return Event{}, h.cfg.Service.Verify(ctx, in.Body, s, s.finding)
	}), nil
}

type ticketInput struct {
	Target    string `path:"target" maxLength:"8192" doc:"CID, BLAKE3 hash (with an s before it that of a sequence) or blob ticket"`
	Recursive bool   `query:"recursive" doc:"the hash is that of a sequence"`
	Parts     string `query:"parts" enum:",short,relay,addrs" doc:"what it says of where this bridge is: short is its id alone, relay the id and the home relay, addrs the id and the addresses; empty is everything"`
}

func (h *handlers) ticket(ctx context.Context, in *ticketInput) (*bodyOf[native.Ticket], error) {
	return answer(h.cfg.Service.Ticket(ctx, native.TicketRequest{Content: in.Target, Recursive: in.Recursive, Parts: in.Parts}))
}

func (h *handlers) peers(ctx context.Context, _ *struct{}) (*bodyOf[peers.List], error) {
	return answer(h.cfg.Service.Peers(ctx))
}

func (h *handlers) doctor(ctx context.Context, _ *struct{}) (*bodyOf[doctor.Diagnosis], error) {
	return answer(h.cfg.Service.Doctor(ctx))
}

func (h *handlers) mapping(ctx context.Context, in *targetInput) (*bodyOf[bridge.Mapped], error) {
	return answer(h.cfg.Service.Map(ctx, in.Target))
}

func (h *handlers) remove(ctx context.Context, in *targetInput) (*bodyOf[bridge.Mapped], error) {
	return answer(h.cfg.Service.Remove(ctx, in.Target))
}

func (h *handlers) id(context.Context, *struct{}) (*bodyOf[bridge.Identity], error) {
	return answer(h.cfg.Service.Identity())
}

func (h *handlers) version(context.Context, *struct{}) (*bodyOf[VersionInfo], error) {
	return answer(VersionInfo{h.cfg.Version}, nil)
}

func answer[T any](v T, err error) (*bodyOf[T], error) {
	if err != nil {
		return nil, problemOf(err)
	}
	return &bodyOf[T]{v}, nil
}

func (h *handlers) list(context.Context, *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "application/x-ndjson")
		enc := json.NewEncoder(hctx.BodyWriter())
		err := h.cfg.Service.List(hctx.Context(), func(c bridge.Content) bool { return enc.Encode(c) == nil })
		if err != nil {
			h.cut("list", err)
		}
	}}, nil
}

// cut ends an answer that cannot be completed so that the client does not take it for whole.
func (h *handlers) cut(what string, err error) {
	h.cfg.Logger.Error("answer cut off", "operation", what, "err", err)
	panic(http.ErrAbortHandler)
}

func (h *handlers) content(ctx context.Context, in *targetInput) (*huma.StreamResponse, error) {
	r, err := h.cfg.Service.Open(ctx, in.Target, bridge.Silent{})
	if err != nil {
		return nil, problemOf(err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer r.Close()
		w := &lateWriter{hctx: hctx, reading: r}
		_, err := r.WriteTo(w)
		if err == nil {
			err = w.finish()
		}
		switch {
		case err == nil || hctx.Context().Err() != nil:
		case !w.started:
			p := problemOf(err)
			hctx.SetHeader("Content-Type", p.ContentType(""))
			hctx.SetStatus(p.Status)
			_ = json.NewEncoder(hctx.BodyWriter()).Encode(p)
		default:
			h.cut("content", err)
		}
	}}, nil
}

// lateWriter holds back the beginning of an answer, so that what fails early, such as a file that was added in place
// and has changed, is still told as a problem and not as a cut connection.
type lateWriter struct {
	hctx    huma.Context
	reading Reading
	held    []byte
	started bool
}

// holdBack is how much is held back at most: one block.
const holdBack = 2 << 20

func (w *lateWriter) Write(p []byte) (int, error) {
	if !w.started {
		if len(w.held)+len(p) <= holdBack {
			w.held = append(w.held, p...)
			return len(p), nil
		}
		if err := w.finish(); err != nil {
			return 0, err
		}
	}
	_, rw := humago.Unwrap(w.hctx)
	// A client that stops reading must not hold the files open for ever.
	_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(writeTimeout))
	return rw.Write(p)
}

// finish sends the headers and what was held back.
func (w *lateWriter) finish() error {
	if w.started {
		return nil
	}
	w.started = true
	c := w.reading.Describe()
	w.hctx.SetHeader("X-Ipfs-Roots", c.CID)
	if c.Hash != "" { // a folder inside other content has none
		w.hctx.SetHeader("X-Blake3", c.Hash)
	}
	w.hctx.SetHeader("X-Bridge-Format", c.Format)
	w.hctx.SetHeader("Etag", strconv.Quote(c.CID))
	w.hctx.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", c.CID))
	if w.reading.Folder() {
		w.hctx.SetHeader("Content-Type", "application/x-tar")
	} else {
		w.hctx.SetHeader("Content-Type", "application/octet-stream")
		w.hctx.SetHeader("Content-Length", strconv.FormatUint(c.Size, 10))
	}
	_, err := w.hctx.BodyWriter().Write(w.held)
	w.held = nil
	return err
}
