// Package api is the bridge's HTTP API, served by the daemon and used by the command line.
//
//	POST   /api/v1/add                 add a file or folder           NDJSON events
//	POST   /api/v1/expose              iroh content to IPFS           NDJSON events
//	POST   /api/v1/import              IPFS content to iroh           NDJSON events
//	POST   /api/v1/fetch               iroh content to here, no CID   NDJSON events
//	POST   /api/v1/push                content to an iroh node        NDJSON events
//	POST   /api/v1/observe             what an iroh node has          NDJSON events
//	POST   /api/v1/verify              hash everything                NDJSON events
//	GET    /api/v1/content/{target}    a file's bytes, or a folder as tar
//	GET    /api/v1/map/{target}        every name of a content
//	GET    /api/v1/links               everything linked              NDJSON
//	DELETE /api/v1/links/{target}      unlink
//	GET    /api/v1/ticket/{target}     a ticket of what is here
//	GET    /api/v1/peers               connections on both networks
//	GET    /api/v1/doctor              what works and what does not
//	GET    /api/v1/id, /api/v1/version, /livez, /readyz
//	GET    /api/v1/openapi.json        this list, generated from the handlers
//
// # NDJSON
//
// A long operation answers 200 and one [Event] a line: any number of item, bytes, finding and observed events,
// then exactly one done or error event. A stream without that last line was cut off. Errors before the stream begins, and in error events, are
// problem details (RFC 9457) whose type says which of the bridge's errors it is.
//
// # Who may call
//
// Whoever has the token in the data folder: the API adds files by path, which is as much as reading them. Besides, the
// Host header must name this machine and a request with an Origin must come from the API's own, so that a web page
// that resolves its name to 127.0.0.1 gets nothing even if it learns the token.
package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/doctor"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/peers"
)

// Service is what the API offers, and what its client gives back: the bridge itself behaves the same.
type Service interface {
	Add(ctx context.Context, req bridge.AddRequest, p bridge.Progress) (bridge.Content, error)
	Expose(ctx context.Context, req bridge.ExposeRequest, p bridge.Progress) (bridge.Content, error)
	Import(ctx context.Context, req bridge.ImportRequest, p bridge.Progress) (bridge.Content, error)
	Fetch(ctx context.Context, req native.FetchRequest, p bridge.Progress) (native.Fetched, error)
	Push(ctx context.Context, req native.PushRequest, p bridge.Progress) (native.Pushed, error)
	Observe(ctx context.Context, req native.ObserveRequest, yield func(native.Observed) error) error
	Verify(ctx context.Context, req bridge.VerifyRequest, p bridge.Progress, yield func(bridge.Finding) error) error
	// Open finds content to read; what a ticket names is fetched first if need be. The caller closes it.
	Open(ctx context.Context, target string, p bridge.Progress) (Reading, error)
	Map(ctx context.Context, target string) (bridge.Mapped, error)
	List(ctx context.Context, yield func(bridge.Content) bool) error
	Remove(ctx context.Context, target string) (bridge.Mapped, error)
	Identity() (bridge.Identity, error)
	Ticket(ctx context.Context, req native.TicketRequest) (native.Ticket, error)
	Peers(ctx context.Context) (peers.List, error)
	Doctor(ctx context.Context) (doctor.Diagnosis, error)
}

// Reading is content being handed out: a file's bytes, or a folder as a tar stream.
type Reading interface {
	// Folder says that WriteTo writes a tar stream.
	Folder() bool
	// Describe names the content; the ticket may be missing.
	Describe() bridge.Content
	io.WriterTo
	io.Closer
}

// Event is one line of a long operation's answer.
type Event struct {
	Event    string           `json:"event" enum:"item,bytes,blob,finding,observed,done,error"`
	Name     string           `json:"name,omitempty" doc:"item: what is worked on now; blob: its hash"`
	Size     int64            `json:"size,omitempty" doc:"item: its bytes and those of items since the last such event, -1 when not known; blob: its bytes"`
	Have     uint64           `json:"have,omitempty" doc:"blob: bytes of it that are there; of several on their way the last that moved is told of"`
	Bytes    uint64           `json:"bytes,omitempty" doc:"bytes: file bytes done since the last such event"`
	Finding  *bridge.Finding  `json:"finding,omitempty" doc:"finding: what verify says of one link"`
	Observed *native.Observed `json:"observed,omitempty" doc:"observed: what the provider has now"`
	Content  *bridge.Content  `json:"content,omitempty" doc:"done: what add, expose or import made"`
	Fetched  *native.Fetched  `json:"fetched,omitempty" doc:"done: what fetch brought"`
	Pushed   *native.Pushed   `json:"pushed,omitempty" doc:"done: what push sent"`
	Problem  *Problem         `json:"problem,omitempty" doc:"error: why it ended"`
}

// Problem is an error as problem details (RFC 9457).
type Problem struct {
	Type   string `json:"type" doc:"which error it is, a URN" example:"urn:iroh-ipfs-bridge:problem:not-found"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

var (
	eventType   = reflect.TypeFor[Event]()
	contentType = reflect.TypeFor[bridge.Content]()
)

const problemPrefix = "urn:iroh-ipfs-bridge:problem:"

// problems ties the bridge's errors to their names and statuses, both ways.
var problems = []struct {
	err    error
	name   string
	status int
}{
	{bridge.ErrDamaged, "mapping-damaged", http.StatusInternalServerError}, // may be an ErrVerify as well
	{bridge.ErrNotFound, "not-found", http.StatusNotFound},
	{bridge.ErrInvalid, "invalid-request", http.StatusUnprocessableEntity},
	{bridge.ErrContent, "content-refused", http.StatusUnprocessableEntity},
	{bridge.ErrVerify, "verification-failed", http.StatusBadGateway},
	{bridge.ErrPartial, "partial", http.StatusMultiStatus},
	{bridge.ErrBusy, "busy", http.StatusConflict},
}

// problemOf describes err.
func problemOf(err error) *Problem {
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return &Problem{Type: problemPrefix + p.name, Title: p.err.Error(), Status: p.status, Detail: err.Error()}
		}
	}
	return &Problem{Type: "about:blank", Title: http.StatusText(http.StatusInternalServerError), Status: http.StatusInternalServerError, Detail: err.Error()}
}

// Err turns a problem back into the error that it describes.
func (p *Problem) Err() error {
	for _, known := range problems {
		if p.Type == problemPrefix+known.name {
			return remoteError{known.err, p.Detail}
		}
	}
	return errors.New(p.Detail)
}

// remoteError is an error that has crossed the API: the daemon's words, and the sentinel they stand for.
type remoteError struct {
	sentinel error
	detail   string
}

func (e remoteError) Error() string { return e.detail }
func (e remoteError) Unwrap() error { return e.sentinel }

const (
	tokenFile   = "token"
	addressFile = "api.json"
)

// Token returns the data folder's API token, making one if there is none. It is a secret: the file is readable by its
// owner only.
func Token(dataDir string) (string, error) {
	path := filepath.Join(dataDir, tokenFile)
	text, err := os.ReadFile(path)
	if err == nil {
		token := strings.TrimSpace(string(text))
		if len(token) < 32 {
			return "", fmt.Errorf("api: %s holds no token; delete it and a new one is made", tokenFile)
		}
		return token, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("api: %w", err)
	}
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("api: %w", err)
	}
	token := hex.EncodeToString(raw[:])
	if err := renameio.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("api: %w", err)
	}
	return token, nil
}

// guard lets through only requests that carry the token, name this machine and come from no foreign page.
func guard(next http.Handler, token string, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case !hostAllowed(r.Host, hosts):
			refuse(w, http.StatusForbidden, "the Host header does not name this machine; add the name to api.hosts if it should")
		case !originAllowed(r):
			refuse(w, http.StatusForbidden, "requests from web pages of another origin are refused")
		case r.URL.Path == "/livez" || r.URL.Path == "/readyz":
			next.ServeHTTP(w, r)
		case !tokenMatches(r, token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "send the token from the data folder as: Authorization: Bearer TOKEN")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, status int, detail string) {
	writeProblem(w, &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail})
}

// hostAllowed accepts IP literals, which no name can be rebound to, and localhost, besides what is configured.
func hostAllowed(hostport string, hosts []string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if host == "localhost" || slices.Contains(hosts, host) || slices.Contains(hosts, hostport) {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Header.Get("Sec-Fetch-Site") != "cross-site"
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && u.Host == r.Host
}

func tokenMatches(r *http.Request, token string) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
}
