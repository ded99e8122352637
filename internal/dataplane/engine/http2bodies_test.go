// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestHTTP2LargeBodies moves 64 MiB each way at once and looks at the heap.
func TestHTTP2LargeBodies(t *testing.T) {
	const size = 64 << 20
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}), nil)
	for way, base := range g.h2Bases() {
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/stream", io.LimitReader(&endless{piece: piece}, size))
		resp, err := h2Client(t).Do(r)
		if err != nil {
			t.Fatal(way, err)
		}
		var peak uint64
		var total int64
		for buf := make([]byte, 64<<10); ; {
			n, err := io.ReadFull(resp.Body, buf)
			if !bytes.Equal(buf[:n], piece[:n]) {
				t.Fatalf("%s: bytes differ after %d", way, total)
			}
			if total += int64(n); total%(8<<20) == 0 {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
			if err != nil {
				break
			}
		}
		_ = resp.Body.Close()
		if total != size {
			t.Errorf("%s: %d bytes came back", way, total)
		}
		if peak > before.HeapAlloc+24<<20 {
			t.Errorf("%s: heap grew from %d to %d", way, before.HeapAlloc, peak)
		}
	}
}

type endless struct {
	piece []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.piece[e.at:])
	e.at = (e.at + n) % len(e.piece)
	return n, nil
}

// TestHTTP2BackPressure has a client that does not read, and one whose
// upstream does not.
func TestHTTP2BackPressure(t *testing.T) {
	const size = 64 << 20
	var sent atomic.Int64
	release := make(chan struct{})
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-release
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		for piece := make([]byte, 64<<10); sent.Load() < size; sent.Add(int64(len(piece))) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}), nil)
	still := func(count *atomic.Int64) int64 {
		last, since := count.Load(), time.Now()
		h2Until(t, "the flow to stop", func() bool {
			if n := count.Load(); n != last {
				last, since = n, time.Now()
			}
			return last > 0 && time.Since(since) > 300*time.Millisecond
		})
		return last
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.secure+"/", nil)
	resp, err := h2Client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := still(&sent); n > size/2 {
		t.Errorf("the upstream could send %d bytes to a client that reads none", n)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("download: %d bytes, %v", n, err)
	}
	_ = resp.Body.Close()

	var read atomic.Int64
	body := &counted{r: io.LimitReader(&endless{piece: make([]byte, 64<<10)}, size), n: &read}
	done := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+g.secure+"/stream", body)
		resp, err := h2Client(t).Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	if n := still(&read); n > size/2 {
		t.Errorf("the client could send %d bytes to an upstream that reads none", n)
	}
	close(release)
	if err := <-done; err != nil || read.Load() != size {
		t.Errorf("upload: %d bytes, %v", read.Load(), err)
	}
}

type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// TestHTTP2Flushes lets each side wait for the other's last word.
func TestHTTP2Flushes(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		for buf := make([]byte, 1); ; {
			if n, err := r.Body.Read(buf); n == 1 {
				_, _ = w.Write(append(buf, '!'))
				_ = http.NewResponseController(w).Flush()
			} else if err != nil {
				return
			}
		}
	}), nil)
	for way, base := range g.h2Bases() {
		pr, pw := io.Pipe()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/stream", pr)
		go func() { _, _ = pw.Write([]byte("a")) }()
		resp, err := h2Client(t).Do(r)
		if err != nil {
			t.Fatal(way, err)
		}
		for _, c := range "abcdef" {
			if c != 'a' {
				if _, err := pw.Write([]byte{byte(c)}); err != nil {
					t.Fatal(way, err)
				}
			}
			var got [2]byte
			if _, err := io.ReadFull(resp.Body, got[:]); err != nil || got != [2]byte{byte(c), '!'} {
				t.Fatalf("%s: %q %v", way, got, err)
			}
		}
		_ = pw.Close()
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("%s: %q %v at the end", way, rest, err)
		}
		_ = resp.Body.Close()
	}
}
