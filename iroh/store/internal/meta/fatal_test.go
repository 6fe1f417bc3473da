package meta

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestFatalOfPebblesOwn: in a goroutine of Pebble's the process ends, with a line that says what to do.
func TestFatalOfPebblesOwn(t *testing.T) {
	var said bytes.Buffer
	status := 0
	l := pebbleLog{slog.New(slog.NewTextHandler(&said, nil)), func(s int) { status = s }}
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		l.Fatalf("MANIFEST flush failed: %v", errors.New("disk full"))
	}()
	if p := <-done; p == nil { // exit does not return
		t.Error("Fatalf returned")
	}
	if text := said.String(); status != 1 || !strings.Contains(text, "see to the disk") || !strings.Contains(text, "disk full") {
		t.Errorf("status %d, said %q", status, text)
	}
}

// TestFatalOfOurs: in a call of this package it is a panic with the cause, and the process goes on.
func TestFatalOfOurs(t *testing.T) {
	cause := errors.New("disk full")
	l := pebbleLog{slog.New(slog.DiscardHandler), func(int) { t.Error("the process ends") }}
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	}()
	(&DB{}).scanFatal(l, cause)
}

// scanFatal stands for any method of DB.
func (d *DB) scanFatal(l pebbleLog, cause error) { l.Fatalf("commit: %v", cause) }
