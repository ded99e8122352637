// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// lives is a plugin whose instances are counted and must not be used after
// their end.
type lives struct {
	made, closed, used, misused atomic.Int64
}

func (l *lives) phases() *plugin.Phases {
	l.made.Add(1)
	var over atomic.Bool
	use := func(plugin.Exchange) {
		l.used.Add(1)
		if over.Load() {
			l.misused.Add(1)
		}
	}
	return &plugin.Phases{Access: use, HeaderFilter: use, Log: use, Close: func() {
		if over.Swap(true) {
			l.misused.Add(1)
		}
		l.closed.Add(1)
	}}
}

// load sends requests until told to stop, and reports any that failed. A
// connection may only end behind an answer that announced it.
type load struct {
	t       *testing.T
	stop    chan struct{}
	workers sync.WaitGroup
	done    atomic.Int64
	failed  atomic.Int64
	ended   atomic.Int64 // dials refused because the gateway is gone
	late    atomic.Int64 // requests sent after the time that a drain leaves
}

// A drain closes a connection without a request so long after it was opened,
// or after the last request on it was sent, at the soonest.
const (
	drainGrace      = 250 * time.Millisecond
	drainGraceFresh = time.Second
)

// lost reports a request that was not answered. The gateway owes an answer
// unless the request came after the time that a drain leaves: on a busy machine
// this process may be what was slow.
func (l *load) lost(n int, quiet time.Duration, err error) {
	if n == 0 && quiet >= drainGraceFresh || n > 0 && quiet >= drainGrace {
		l.late.Add(1)
		return
	}
	l.failed.Add(1)
	l.t.Errorf("request %d on its connection, sent %v after what came before: %v", n, quiet, err)
}

func startLoad(t *testing.T, address string, workers int) *load {
	l := &load{t: t, stop: make(chan struct{})}
	for range workers {
		l.workers.Add(1)
		go func() {
			defer l.workers.Done()
			for l.connection(address) {
			}
		}()
	}
	return l
}

// connection uses one connection until it ends; false ends the worker.
func (l *load) connection(address string) bool {
	began := time.Now()
	c, err := net.Dial("tcp", address)
	if err != nil {
		l.ended.Add(1)
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return false
		default:
		}
		request := "GET /load HTTP/1.1\r\nHost: h\r\n\r\n"
		if n%3 == 1 {
			request = "POST /load HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
		}
		previous := began
		began = time.Now()
		_, err := io.WriteString(c, request)
		quiet := time.Since(previous)
		if err != nil {
			l.lost(n, quiet, err)
			return true
		}
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			l.lost(n, quiet, err)
			return true
		}
		_, err = io.Copy(io.Discard, a.Body)
		if err != nil || a.StatusCode != 200 {
			l.failed.Add(1)
			l.t.Errorf("request %d: %d %v", n, a.StatusCode, err)
			return false
		}
		l.done.Add(1)
		if a.Close {
			return true
		}
	}
}

func (l *load) end() {
	close(l.stop)
	l.workers.Wait()
}

func withProbe(url, tag string) string {
	return service(url, fmt.Sprintf("plugins: [{name: probe-1, config: {tag: %q}}]\n", tag))
}

// No request is lost by reloads under load, and each instance is closed exactly
// once, after its last use.
func TestReloadUnderLoad(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	l := &lives{}
	r := startRig(t, withProbe(up.URL, "0"), rigOptions{plugins: probes{"probe-1": l.phases}})
	traffic := startLoad(t, r.plain, 8)
	const reloads = 100
	for n := 1; n <= reloads; n++ {
		before := traffic.done.Load()
		// Every second reload changes nothing: the instance is carried over.
		if rejected := r.apply(withProbe(up.URL, fmt.Sprint(n/2))); len(rejected) > 0 {
			t.Fatal(rejected)
		}
		until(t, "traffic", func() bool { return traffic.done.Load() > before+8 })
	}
	traffic.end()
	if l.made.Load() != reloads/2+1 {
		t.Errorf("%d instances, want %d", l.made.Load(), reloads/2+1)
	}
	until(t, "the end of old instances", func() bool { return l.closed.Load() == l.made.Load()-1 })
	if err := r.drain(patience); err != nil {
		t.Error(err)
	}
	if l.closed.Load() != l.made.Load() || l.misused.Load() > 0 {
		t.Errorf("%d made, %d closed, %d uses after the end", l.made.Load(), l.closed.Load(), l.misused.Load())
	}
	if l.used.Load() < 3*traffic.done.Load() {
		t.Errorf("%d uses in %d requests", l.used.Load(), traffic.done.Load())
	}
}

// A request keeps the configuration that it started with, and its instances.
func TestReloadDuringARequest(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	up := serve(t, func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})
	l := &lives{}
	r := startRig(t, withProbe(up.URL, "old"), rigOptions{plugins: probes{"probe-1": l.phases}})
	w := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-entered
	for n := range 10 {
		r.apply(withProbe(up.URL, fmt.Sprint("new", n)))
	}
	if n := l.closed.Load(); n != 0 {
		t.Errorf("%d instances were closed while the oldest is in use", n)
	}
	close(leave)
	if a, _ := w.answer("GET"); a.StatusCode != 200 {
		t.Errorf("got %d", a.StatusCode)
	}
	until(t, "the end of old instances", func() bool { return l.closed.Load() == 10 })
	if l.misused.Load() > 0 {
		t.Errorf("%d uses after the end", l.misused.Load())
	}
}
