package watch

import (
	"sync"
	"testing"
)

func TestHub(t *testing.T) {
	var h Hub[string]
	h.Notify("a") // nobody listens
	a1, stop1 := h.Add("a")
	a2, stop2 := h.Add("a")
	b, stopB := h.Add("b")
	for range 1000 {
		h.Notify("a") // nobody reads, and nothing blocks
	}
	if len(a1) != 1 || len(a2) != 1 || len(b) != 0 {
		t.Fatalf("%d, %d, %d values wait", len(a1), len(a2), len(b))
	}
	<-a1
	stop1()
	stop1()
	h.Notify("a")
	if len(a1) != 0 || len(a2) != 1 || h.Len() != 2 {
		t.Fatalf("%d, %d values wait, %d watchers", len(a1), len(a2), h.Len())
	}
	stop2()
	stopB()
	if h.Len() != 0 || len(h.byKey) != 0 {
		t.Fatalf("%d watchers and %d keys are left", h.Len(), len(h.byKey))
	}
}

func TestHubConcurrent(t *testing.T) {
	var h Hub[int]
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for range 1000 {
				c, stop := h.Add(i % 2)
				h.Notify(i % 2)
				<-c
				stop()
			}
		})
	}
	running.Wait()
	if h.Len() != 0 {
		t.Fatalf("%d watchers are left", h.Len())
	}
}
