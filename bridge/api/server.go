package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/renameio/v2"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/native"
)

// Config is what a server needs.
type Config struct {
	Service Service
	DataDir string
	Listen  string   // TCP address
	Hosts   []string // further names accepted in the Host header
	Version string
	Logger  *slog.Logger
}

// Server is the API while it listens.
type Server struct {
	cfg  Config
	http *http.Server
	addr string
	done chan struct{}
	fail error
}

// Listen opens the API and tells its address to the command line through a file in the data folder.
func Listen(cfg Config) (*Server, error) {
	token, err := Token(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s := &Server{cfg: cfg, addr: l.Addr().String(), done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           guard(NewHandler(cfg), token, cfg.Hosts),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.fail = err
		}
	}()
	info, _ := json.Marshal(address{URL: "http://" + s.addr, PID: os.Getpid()})
	if err := renameio.WriteFile(filepath.Join(cfg.DataDir, addressFile), append(info, '\n'), 0o600); err != nil {
		_ = s.http.Close()
		<-s.done
		return nil, fmt.Errorf("api: %w", err)
	}
	return s, nil
}

// address is what api.json holds.
type address struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

// Addr returns the TCP address that the API listens on.
func (s *Server) Addr() string { return s.addr }

// Close lets requests that run finish until ctx ends, then cuts them.
func (s *Server) Close(ctx context.Context) error {
	_ = os.Remove(filepath.Join(s.cfg.DataDir, addressFile))
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return errors.Join(err, s.fail)
}

// NewHandler returns the API without its guard.
func NewHandler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	hc := huma.DefaultConfig("iroh-ipfs bridge", cfg.Version)
	hc.OpenAPIPath, hc.DocsPath, hc.SchemasPath = "/api/v1/openapi", "", ""
	hc.CreateHooks = nil // no $schema links in answers
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	hc.Security = []map[string][]string{{"token": {}}}
	h := &handlers{cfg: cfg}
	h.register(humago.New(mux, hc))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return http.MaxBytesHandler(mux, maxBody)
}

// Limits of the API.
const (
	// A client that sends its headers a byte at a time would hold a connection for ever.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 30 * time.Second
	maxHeader         = 16 << 10
	// The largest request is an import with many peers to ask; more is somebody filling memory.
	maxBody = 1 << 20
	// Progress is sent at most this often: a line for every piece would cost more than the piece.
	progressEvery = 100 * time.Millisecond
	// A client that stops reading is let go after this long.
	writeTimeout = 60 * time.Second
)

// stream answers with NDJSON events. It is the operation's Progress.
type stream struct {
	mu    sync.Mutex
	enc   *json.Encoder
	flush func()
	err   error

	// What has happened since it was told the last time.
	last  time.Time
	item  Event // the last item, with the sizes of all
	blob  Event // the last blob that moved
	bytes uint64
}

func (s *stream) send(e Event) error {
	if s.err == nil {
		if s.err = s.enc.Encode(e); s.err == nil {
			s.flush()
		}
	}
	return s.err
}

// Item implements bridge.Progress.
func (s *stream) Item(name string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case size >= 0:
		size += max(s.item.Size, 0)
	case s.item.Size > 0:
		size = s.item.Size
	}
	s.item = Event{Event: "item", Name: name, Size: size}
	s.tell(false)
}

// Blob implements native.BlobProgress.
func (s *stream) Blob(name string, have, size uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blob = Event{Event: "blob", Name: name, Have: have, Size: int64(min(size, math.MaxInt64))}
}

// Bytes implements bridge.Progress.
func (s *stream) Bytes(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += n
	s.tell(false)
}

// tell sends what has happened, unless that was done just before or it has to be.
func (s *stream) tell(now bool) {
	if !now && time.Since(s.last) < progressEvery {
		return
	}
	for _, e := range []Event{s.item, s.blob, {Event: "bytes", Bytes: s.bytes}} {
		if e.Name != "" || e.Bytes > 0 {
			_ = s.send(e)
		}
	}
	s.last, s.item, s.blob, s.bytes = time.Now(), Event{}, Event{}, 0
}

func (s *stream) finding(f bridge.Finding) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(Event{Event: "finding", Finding: &f})
}

func (s *stream) observed(o native.Observed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(Event{Event: "observed", Observed: &o})
}

// end sends the last line.
func (s *stream) end(done Event, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(true)
	if err != nil {
		_ = s.send(Event{Event: "error", Problem: problemOf(err)})
		return
	}
	done.Event = "done"
	_ = s.send(done)
}

// streaming wraps an operation into a huma answer. The event that run returns is the last one, if there is no error.
func streaming(run func(ctx context.Context, s *stream) (Event, error)) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "application/x-ndjson")
		w := hctx.BodyWriter()
		s := &stream{enc: json.NewEncoder(w), flush: func() {}}
		if f, ok := w.(http.Flusher); ok {
			s.flush = f.Flush
		}
		s.flush() // the client learns at once that it was accepted
		done, err := run(hctx.Context(), s)
		s.end(done, err)
	}}
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	var buf bytes.Buffer
	_ = json.NewEncoder(&buf).Encode(p)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(buf.Bytes())
}
