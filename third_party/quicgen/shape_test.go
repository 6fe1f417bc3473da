package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A shapeCase is a release that differs from the pinned one in a single place.
type shapeCase struct {
	name     string
	file     string // default: setupFile
	old, new string // the first old becomes new; no old: new is appended
	at       string // text in the line that the error must name; "" = no line
	want     string // text in the error
}

const (
	callClient = "cs.conn = tls.QUICClient(&tls.QUICConfig{"
	callServer = "cs.conn = tls.QUICServer(getQUICConfig(tlsConf, localAddr, remoteAddr))"
	callClose  = "return h.conn.Close()"
	config126  = "internal/handshake/tls_config_go126.go"
)

var shapeCases = []shapeCase{
	{name: "field renamed", old: "conn    *tls.QUICConn", new: "tlsConn *tls.QUICConn", at: "type cryptoSetup struct", want: "to have a field conn"},
	{name: "field of another type", old: "conn    *tls.QUICConn", new: "conn tls.QUICConn", at: "conn tls.QUICConn", want: "type *tls.QUICConn"},
	{name: "field shared", old: "conn    *tls.QUICConn", new: "conn, other *tls.QUICConn", at: "type cryptoSetup struct", want: "to have a field conn"},
	{name: "struct renamed", old: "type cryptoSetup struct", new: "type setup struct", at: "package handshake", want: "a struct cryptoSetup"},
	{name: "struct became an interface", old: "type cryptoSetup struct {", new: "type cryptoSetup interface{}\ntype other struct {", at: "type cryptoSetup interface", want: "to be a struct"},
	{name: "second field", old: "events []Event", new: "old *tls.QUICConn\n\tevents []Event", at: "old *tls.QUICConn", want: "only as the type of the field conn"},
	{name: "type used elsewhere", new: "func engine(h *cryptoSetup) *tls.QUICConn { return nil }\n", at: "func engine", want: "only as the type of the field conn"},
	{name: "client call missing", old: callClient, new: "cs.conn = newClient(&tls.QUICConfig{", at: "cs.conn = newClient", want: "to be set to the result of tls.QUICClient"},
	{name: "server call missing", old: callServer, new: "", at: "package handshake", want: "expected one call of tls.QUICServer in this file, found none"},
	{name: "second client call", old: "return h.aead.SetLargestAcked(pn)", new: "h.conn = tls.QUICClient(nil)\nreturn nil", at: "h.conn = tls.QUICClient(nil)", want: "found a second one"},
	{name: "constructor with two arguments", old: callServer, new: "cs.conn = tls.QUICServer(tlsConf, nil)", at: "tls.QUICServer(tlsConf, nil)", want: "a call with one argument"},
	{name: "constructor as a value", old: callServer, new: "f := tls.QUICServer\ncs.conn = f(nil)", at: "f := tls.QUICServer", want: "a call with one argument"},
	{name: "constructor into a variable", old: callServer, new: "c := tls.QUICServer(getQUICConfig(tlsConf, localAddr, remoteAddr))\ncs.conn = c", at: "c := tls.QUICServer", want: "to be assigned to the field conn"},
	{name: "ninth method", old: callClose, new: "h.conn.ExportKeyingMaterial()\n" + callClose, at: "ExportKeyingMaterial", want: "conn.ExportKeyingMaterial is not one of the eight methods"},
	{name: "more arguments", old: callClose, new: "return h.conn.Close(nil)", at: "h.conn.Close(nil)", want: "with 0 arguments, found 1"},
	{name: "method as a value", old: callClose, new: "f := h.conn.Close\nreturn f()", at: "f := h.conn.Close", want: "only as a call"},
	{name: "engine handed on", old: callClose, new: "return shut(h.conn)", at: "shut(h.conn)", want: "only to call methods on it"},
	{name: "engine in a type assertion", old: callClose, new: "_ = any(h.conn)\n" + callClose, at: "any(h.conn)", want: "only to call methods on it"},
	{name: "engine copied", old: callClose, new: "c := h.conn\nreturn c.Close()", at: "c := h.conn", want: "to be set to the result"},
	{name: "method not called any more", old: "return h.conn.StoreSession(ev.SessionState)", new: "return nil", at: "*tls.QUICConn", want: "expected a call of conn.StoreSession"},
	{name: "renamed import", old: `"crypto/tls"`, new: `ctls "crypto/tls"`, at: "package handshake", want: "imported as tls"},
	{name: "configuration without TLSConfig", old: "TLSConfig:           tlsConf,", new: "", at: callClient, want: "expected TLSConfig: tlsConf"},
	{name: "name taken by a function", new: "func newQUICClient() {}\n", at: "func newQUICClient", want: "newQUICClient is taken"},
	{name: "name taken by a type", file: "internal/handshake/aead.go", new: "type quicConn struct{}\n", at: "type quicConn", want: "quicConn is taken"},
	{name: "syntax error", old: "type cryptoSetup struct {", new: "type cryptoSetup struct", want: "crypto_setup.go:"},

	{name: "engine type in another file", file: "internal/handshake/interface.go", new: "var c *tls.QUICConn\n", at: "var c *tls.QUICConn", want: "tls.QUICConn is expected in internal/handshake/crypto_setup.go only"},
	{name: "engine made in another package", file: "transport.go", new: "var f = tls.QUICClient\n", at: "var f = tls.QUICClient", want: "tls.QUICClient is expected in"},
	{name: "engine made under another import name", file: "transport.go", old: `"crypto/tls"`, new: `ctls "crypto/tls"` + "\nvar f = ctls.QUICServer\n", want: "transport.go"},
	{name: "engine used in another file", file: "internal/handshake/aead.go", new: "func (h *cryptoSetup) x() { h.conn.Close() }\n", at: "h.conn.Close()", want: "the field conn is expected to be used in"},
	{name: "setup returns another configuration", file: config126, old: "return conf\n", new: "return &tls.Config{}\n", at: "return &tls.Config{}", want: "is expected to return conf"},
	{name: "setup builds another configuration", file: config126, old: "conf = conf.Clone()", new: "conf = fresh(conf)", at: "conf = fresh(conf)", want: "nothing but conf.Clone()"},
	{name: "engine removed", file: config126, old: "conf.MinVersion = tls.VersionTLS13", new: "conf.Rand = nil", at: "conf.Rand = nil", want: "expected to be left alone"},
	{name: "server configuration not passed on", file: config126, old: "TLSConfig:           tlsConf,", new: "TLSConfig: nil,", at: "&tls.QUICConfig{", want: "expected TLSConfig: tlsConf"},

	{name: "queue of another length", file: paramsFile, old: "MaxAcceptQueueSize = 32", new: "MaxAcceptQueueSize = 64", at: "MaxAcceptQueueSize = 64", want: "MaxAcceptQueueSize to be 32"},
	{name: "queue computed", file: paramsFile, old: "MaxAcceptQueueSize = 32", new: "MaxAcceptQueueSize = 4 * 8", at: "MaxAcceptQueueSize = 4", want: "MaxAcceptQueueSize to be 32"},
	{name: "queue renamed", file: paramsFile, old: "const MaxAcceptQueueSize", new: "const MaxQueue", at: "package protocol", want: "expected a constant MaxAcceptQueueSize"},
	{name: "queue a variable", file: paramsFile, old: "const MaxAcceptQueueSize", new: "var MaxAcceptQueueSize", at: "package protocol", want: "expected a constant MaxAcceptQueueSize"},
	{name: "queue made otherwise", file: serverFile, old: "make(chan *Conn, protocol.MaxAcceptQueueSize)", new: "make(chan *Conn, 32)", at: "package quic", want: "with room for protocol.MaxAcceptQueueSize"},
	{name: "retries of another length", file: serverFile, old: "make(chan rejectedPacket, 8)", new: "make(chan rejectedPacket, 16)", at: "package quic", want: "expected just retryQueue"},
	{name: "another queue of that length", file: serverFile, old: "make(chan rejectedPacket, 4)", new: "make(chan rejectedPacket, 8)", at: "package quic", want: "expected just retryQueue"},
	{name: "packets handled otherwise", file: "transport.go", old: "if len(p.data) == 0 {", new: "if len(p.data) < 2 {", at: "func (t *Transport) handlePacket", want: "Transport.handlePacket is not the known one"},
	{name: "packets queued otherwise", file: "connection.go", old: "c.receivedPackets.PushBack(p)", new: "c.receivedPackets.PushFront(p)", at: "func (c *Conn) handlePacket(", want: "Conn.handlePacket is not the known one"},
	{name: "packets read otherwise", file: "transport.go", old: "func (t *Transport) listen(", new: "func (t *Transport) read(", at: "package quic", want: "expected a method Transport.listen"},
	{name: "retries renamed", file: serverFile, old: "retryQueue:                make", new: "retries: make", at: "package quic", want: "expected just retryQueue"},
}

// apply makes the change of the case in the copy at dir and returns the line that the error must name.
func (c shapeCase) apply(t *testing.T, dir string) (file string, line int) {
	t.Helper()
	file = c.file
	if file == "" {
		file = setupFile
	}
	text := read(t, dir, file)
	switch {
	case c.old == "":
		text += "\n" + c.new
	case strings.Contains(text, c.old):
		text = strings.Replace(text, c.old, c.new, 1)
	default:
		t.Fatalf("%s: the case is out of date, no %q", file, c.old)
	}
	write(t, text, dir, file)
	if c.at == "" {
		return file, 0
	}
	before, _, ok := strings.Cut(text, c.at)
	if !ok {
		t.Fatalf("%s: no %q after the change", file, c.at)
	}
	return file, strings.Count(before, "\n") + 1
}

func TestOtherShapesAreRefusedWithTheirPlace(t *testing.T) {
	_, release := realRelease(t)
	for _, c := range shapeCases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := copyRelease(release, dir); err != nil {
				t.Fatal(err)
			}
			file, line := c.apply(t, dir)
			before := read(t, dir, setupFile)
			err := rewrite(dir)
			if err == nil {
				t.Fatal("accepted")
			}
			if line > 0 && !strings.Contains(err.Error(), fmt.Sprintf("%s:%d: ", file, line)) {
				t.Errorf("%q does not name %s:%d", err, file, line)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q does not say %q", err, c.want)
			}
			if read(t, dir, setupFile) != before {
				t.Error("a refused release was changed")
			}
			for _, added := range []string{seamFile, deliverFile} {
				if _, err := os.Stat(filepath.Join(dir, added)); !os.IsNotExist(err) {
					t.Errorf("%s was added to a refused release", added)
				}
			}
		})
	}
}

func TestMissingAndTakenFilesAreRefused(t *testing.T) {
	_, release := realRelease(t)
	dir := t.TempDir()
	if err := copyRelease(release, dir); err != nil {
		t.Fatal(err)
	}
	write(t, "package handshake\n", dir, seamFile)
	if err := rewrite(dir); err == nil || !strings.Contains(err.Error(), seamFile+": expected no such file") {
		t.Errorf("taken name: %v", err)
	}
	os.Remove(filepath.Join(dir, seamFile))
	write(t, "package quic\n", dir, deliverFile)
	if err := rewrite(dir); err == nil || !strings.Contains(err.Error(), deliverFile+": expected no such file") {
		t.Errorf("taken name: %v", err)
	}
	os.Remove(filepath.Join(dir, deliverFile))
	os.Remove(filepath.Join(dir, setupFile))
	if err := rewrite(dir); err == nil || !strings.Contains(err.Error(), setupFile+": expected this file") {
		t.Errorf("missing file: %v", err)
	}
}

// A refused release must leave the copy of the one before in its place.
func TestRefusedReleaseLeavesTheOldCopy(t *testing.T) {
	p, release := realRelease(t)
	out := filepath.Join(t.TempDir(), "quic-go")
	if err := generate(release, out, p); err != nil {
		t.Fatal(err)
	}
	changed := t.TempDir()
	if err := copyRelease(release, changed); err != nil {
		t.Fatal(err)
	}
	write(t, strings.Replace(read(t, changed, setupFile), "conn    *tls.QUICConn", "c *tls.QUICConn", 1), changed, setupFile)
	err := generate(changed, out, p)
	if err == nil || !strings.Contains(err.Error(), "does not have the expected shape") {
		t.Fatalf("got %v", err)
	}
	if !upToDate(out, p) {
		t.Error("the old copy was touched")
	}
	if entries, _ := os.ReadDir(filepath.Dir(out)); len(entries) != 1 {
		t.Errorf("something was left behind: %v", entries)
	}
}
