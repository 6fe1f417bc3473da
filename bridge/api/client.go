package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/doctor"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/peers"
)

// ErrNoDaemon says that no daemon runs on the data folder.
var ErrNoDaemon = errors.New("no daemon runs on this data folder")

// Client is a running daemon's service.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// Dial finds the daemon of a data folder. It is ErrNoDaemon if there is none.
func Dial(ctx context.Context, dataDir string) (*Client, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, addressFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoDaemon
	}
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	var a address
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("api: %s: %w", addressFile, err)
	}
	token, err := Token(dataDir)
	if err != nil {
		return nil, err
	}
	c := &Client{base: a.URL, token: token, http: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	resp, err := c.do(ctx, "GET", "/livez", nil)
	if err != nil {
		return nil, ErrNoDaemon // a daemon that was killed leaves its address behind
	}
	return c, resp.Body.Close()
}

var _ Service = (*Client)(nil)

// do sends a request and returns the answer if it is not a problem.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, send)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("the daemon does not answer: %w", err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("the daemon's answer broke off: %w", err)
	}
	var p Problem
	if err := json.Unmarshal(text, &p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("the daemon answered %s", resp.Status)
	}
	return nil, p.Err()
}

func get[T any](ctx context.Context, c *Client, method, path string) (T, error) {
	var v T
	resp, err := c.do(ctx, method, path, nil)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("the daemon's answer: %w", err)
	}
	return v, nil
}

// hearers are who hears the events of a long operation, besides its progress; a nil one expects none.
type hearers struct {
	progress bridge.Progress
	finding  func(bridge.Finding) error
	observed func(native.Observed) error
}

// events runs a long operation, follows its events to the last, and returns that.
func (c *Client) events(ctx context.Context, path string, body any, to hearers) (Event, error) {
	resp, err := c.do(ctx, "POST", path, body)
	if err != nil {
		return Event{}, err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var e Event
		if err := dec.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return Event{}, ctx.Err()
			}
			return Event{}, fmt.Errorf("the daemon broke off before it was done: %w", err)
		}
		if e.Event == "done" {
			return e, nil
		}
		if err := to.hear(e); err != nil {
			return Event{}, err
		}
	}
}

// hear hands over one event that is not the last. An error event is its error.
func (h hearers) hear(e Event) error {
	switch {
	case e.Event == "item" && h.progress != nil:
		h.progress.Item(e.Name, e.Size)
	case e.Event == "bytes" && h.progress != nil:
		h.progress.Bytes(e.Bytes)
	case e.Event == "blob":
		if blobs, ok := h.progress.(native.BlobProgress); ok {
			blobs.Blob(e.Name, e.Have, uint64(max(e.Size, 0)))
		}
	case e.Event == "finding" && e.Finding != nil && h.finding != nil:
		return h.finding(*e.Finding)
	case e.Event == "observed" && e.Observed != nil && h.observed != nil:
		return h.observed(*e.Observed)
	case e.Event == "finding", e.Event == "observed":
		return errors.New("the daemon answered with an event that nobody asked for")
	case e.Event == "error" && e.Problem == nil:
		return errors.New("the daemon reported an error without saying which")
	case e.Event == "error":
		return e.Problem.Err()
	}
	return nil
}

// making runs an operation whose last event has content.
func (c *Client) making(ctx context.Context, path string, body any, p bridge.Progress) (bridge.Content, error) {
	done, err := c.events(ctx, path, body, hearers{progress: p})
	if err != nil || done.Content == nil {
		return bridge.Content{}, err
	}
	return *done.Content, nil
}

// Add implements Service.
func (c *Client) Add(ctx context.Context, req bridge.AddRequest, p bridge.Progress) (bridge.Content, error) {
	return c.making(ctx, "/api/v1/add", req, p)
}

// Expose implements Service.
func (c *Client) Expose(ctx context.Context, req bridge.ExposeRequest, p bridge.Progress) (bridge.Content, error) {
	return c.making(ctx, "/api/v1/expose", req, p)
}

// Import implements Service.
func (c *Client) Import(ctx context.Context, req bridge.ImportRequest, p bridge.Progress) (bridge.Content, error) {
	return c.making(ctx, "/api/v1/import", req, p)
}

// Fetch implements Service.
func (c *Client) Fetch(ctx context.Context, req native.FetchRequest, p bridge.Progress) (native.Fetched, error) {
	done, err := c.events(ctx, "/api/v1/fetch", req, hearers{progress: p})
	if err != nil || done.Fetched == nil {
		return native.Fetched{}, err
	}
	return *done.Fetched, nil
}

// Push implements Service.
func (c *Client) Push(ctx context.Context, req native.PushRequest, p bridge.Progress) (native.Pushed, error) {
	done, err := c.events(ctx, "/api/v1/push", req, hearers{progress: p})
	if err != nil || done.Pushed == nil {
		return native.Pushed{}, err
	}
	return *done.Pushed, nil
}

// Observe implements Service.
func (c *Client) Observe(ctx context.Context, req native.ObserveRequest, yield func(native.Observed) error) error {
	_, err := c.events(ctx, "/api/v1/observe", req, hearers{observed: yield})
	return err
}

// Verify implements Service.
func (c *Client) Verify(ctx context.Context, req bridge.VerifyRequest, p bridge.Progress, yield func(bridge.Finding) error) error {
	_, err := c.events(ctx, "/api/v1/verify", req, hearers{progress: p, finding: yield})
	return err
}

// Ticket implements Service.
func (c *Client) Ticket(ctx context.Context, req native.TicketRequest) (native.Ticket, error) {
	query := url.Values{"parts": {req.Parts}}
	if req.Recursive {
		query.Set("recursive", "true")
	}
	return get[native.Ticket](ctx, c, "GET", "/api/v1/ticket/"+segment(req.Content)+"?"+query.Encode())
}

// Peers implements Service.
func (c *Client) Peers(ctx context.Context) (peers.List, error) {
	return get[peers.List](ctx, c, "GET", "/api/v1/peers")
}

// Doctor implements Service.
func (c *Client) Doctor(ctx context.Context) (doctor.Diagnosis, error) {
	return get[doctor.Diagnosis](ctx, c, "GET", "/api/v1/doctor")
}

// segment makes a target one part of a URL's path.
func segment(target string) string { return url.PathEscape(strings.TrimPrefix(target, "/ipfs/")) }

// Map implements Service.
func (c *Client) Map(ctx context.Context, target string) (bridge.Mapped, error) {
	return get[bridge.Mapped](ctx, c, "GET", "/api/v1/map/"+segment(target))
}

// Remove implements Service.
func (c *Client) Remove(ctx context.Context, target string) (bridge.Mapped, error) {
	return get[bridge.Mapped](ctx, c, "DELETE", "/api/v1/links/"+segment(target))
}

// Identity implements Service.
func (c *Client) Identity() (bridge.Identity, error) {
	return get[bridge.Identity](context.Background(), c, "GET", "/api/v1/id")
}

// List implements Service.
func (c *Client) List(ctx context.Context, yield func(bridge.Content) bool) error {
	resp, err := c.do(ctx, "GET", "/api/v1/links", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var one bridge.Content
		if err := dec.Decode(&one); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("the daemon's list broke off: %w", err)
		}
		if !yield(one) {
			return nil
		}
	}
}

// Open implements Service.
func (c *Client) Open(ctx context.Context, target string, _ bridge.Progress) (Reading, error) {
	resp, err := c.do(ctx, "GET", "/api/v1/content/"+segment(target), nil) //nolint:bodyclose // the caller closes the Reading
	if err != nil {
		return nil, err
	}
	return &download{resp}, nil
}

// download is content on its way from the daemon.
type download struct{ resp *http.Response }

func (d *download) Folder() bool { return d.resp.Header.Get("Content-Type") == "application/x-tar" }

func (d *download) Describe() bridge.Content {
	c := bridge.Content{CID: d.resp.Header.Get("X-Ipfs-Roots"), Hash: d.resp.Header.Get("X-Blake3"), Format: d.resp.Header.Get("X-Bridge-Format")}
	if d.resp.ContentLength > 0 {
		c.Size = uint64(d.resp.ContentLength)
	}
	return c
}

func (d *download) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, d.resp.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the daemon could not read the content to its end; its log says why, and `bridge verify` finds what is damaged: %w", err)
	}
	return n, err
}

func (d *download) Close() error { return d.resp.Body.Close() }
