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

// events runs a long operation and follows its events to the last.
func (c *Client) events(ctx context.Context, path string, body any, p bridge.Progress, finding func(bridge.Finding) error) (bridge.Content, error) {
	resp, err := c.do(ctx, "POST", path, body)
	if err != nil {
		return bridge.Content{}, err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var e Event
		if err := dec.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return bridge.Content{}, ctx.Err()
			}
			return bridge.Content{}, fmt.Errorf("the daemon broke off before it was done: %w", err)
		}
		switch e.Event {
		case "item":
			p.Item(e.Name, e.Size)
		case "bytes":
			p.Bytes(e.Bytes)
		case "finding":
			if e.Finding == nil || finding == nil {
				return bridge.Content{}, errors.New("the daemon answered with a finding that nobody asked for")
			}
			if err := finding(*e.Finding); err != nil {
				return bridge.Content{}, err
			}
		case "error":
			if e.Problem == nil {
				return bridge.Content{}, errors.New("the daemon reported an error without saying which")
			}
			return bridge.Content{}, e.Problem.Err()
		case "done":
			if e.Content == nil {
				return bridge.Content{}, nil
			}
			return *e.Content, nil
		}
	}
}

// Add implements Service.
func (c *Client) Add(ctx context.Context, req bridge.AddRequest, p bridge.Progress) (bridge.Content, error) {
	return c.events(ctx, "/api/v1/add", req, p, nil)
}

// Expose implements Service.
func (c *Client) Expose(ctx context.Context, req bridge.ExposeRequest, p bridge.Progress) (bridge.Content, error) {
	return c.events(ctx, "/api/v1/expose", req, p, nil)
}

// Import implements Service.
func (c *Client) Import(ctx context.Context, req bridge.ImportRequest, p bridge.Progress) (bridge.Content, error) {
	return c.events(ctx, "/api/v1/import", req, p, nil)
}

// Verify implements Service.
func (c *Client) Verify(ctx context.Context, req bridge.VerifyRequest, p bridge.Progress, yield func(bridge.Finding) error) error {
	_, err := c.events(ctx, "/api/v1/verify", req, p, yield)
	return err
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
