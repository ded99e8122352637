// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2/session"
)

// countingDialer counts what it opens.
type countingDialer struct {
	net.Dialer
	mu sync.Mutex
	n  int
}

func (d *countingDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.n++
	d.mu.Unlock()
	return d.Dialer.DialContext(ctx, network, address)
}

func (d *countingDialer) opened() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// http2Server answers requests to /hold when release is closed.
func http2Server(t *testing.T, streams int) (address netip.AddrPort, release chan struct{}) {
	release = make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-release
		}
	}))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Start()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String()), release
}

const http2Patience = 20 * time.Second

// ask opens a stream on a connection of the pool.
func ask(t *testing.T, p *Pool, path string) (s *session.Stream, reused bool) {
	t.Helper()
	var e http2.Encoder
	block, err := e.AppendRequest(nil, &http1.RequestHead{Method: []byte("GET"), Path: []byte(path), Host: []byte("a")}, "http")
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, reused, err := p.Session(t.Context(), http2Patience)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Open(http1.MethodGet, block, true)
		if err == nil {
			return s, reused
		}
		if !errors.Is(err, session.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

func answered(t *testing.T, s *session.Stream) {
	t.Helper()
	var head http1.Response
	if err := s.NextHead(&head, http2Patience); err != nil || head.Status != 200 {
		t.Errorf("%v, status %d", err, head.Status)
	}
	s.Done()
}

func TestSharedConnections(t *testing.T) {
	address, release := http2Server(t, 10)
	d := &countingDialer{}
	pools := NewPools(d, Limits{Idle: 10, IdleTimeout: time.Minute}, time.Now)
	defer pools.Close()
	p := pools.Pool(Key{Address: address, Proto: ProtoGRPC}, nil)
	// The first one learns what the server takes.
	s, reused := ask(t, p, "/")
	answered(t, s)
	if reused {
		t.Error("the first connection carried streams before")
	}
	var held []*session.Stream
	for range 25 {
		s, _ := ask(t, p, "/hold")
		held = append(held, s)
	}
	// New connections are taken to allow 100 streams until they say otherwise; what
	// they refuse is the caller's to send again.
	if n := d.opened(); n < 2 || n > 3 {
		t.Errorf("%d connections for 25 streams, 10 on each", n)
	}
	close(release)
	for _, s := range held {
		var head http1.Response
		var refused *session.StreamError
		if err := s.NextHead(&head, http2Patience); err != nil && (!errors.As(err, &refused) || !refused.Unprocessed) {
			t.Error(err)
		}
		s.Done()
	}
	before := d.opened()
	for range 50 {
		s, reused := ask(t, p, "/")
		answered(t, s)
		if !reused {
			t.Error("a connection is opened although others are idle")
		}
	}
	if d.opened() != before {
		t.Errorf("%d connections were opened", d.opened()-before)
	}
}

func TestSharedRetirement(t *testing.T) {
	address, release := http2Server(t, 100)
	d := &countingDialer{}
	pools := NewPools(d, Limits{Idle: 10, IdleTimeout: time.Minute}, time.Now)
	defer pools.Close()
	p := pools.Pool(Key{Address: address, Proto: ProtoGRPC}, nil)
	old, _ := ask(t, p, "/hold")
	x := old.Session()
	pools.Retire(address)
	s, reused := ask(t, p, "/")
	answered(t, s)
	if reused || d.opened() != 2 {
		t.Errorf("after retirement: reused %v, %d connections", reused, d.opened())
	}
	// What is under way goes on; then the connection ends.
	close(release)
	answered(t, old)
	asynctest.Until(t, "the end of the retired connection", func() bool { return x.Err() != nil })
	// The other one is kept, until the pool is closed.
	pools.Sweep()
	pools.Sweep()
	if pools.Len() != 1 {
		t.Error("a pool with a connection is forgotten")
	}
	pools.Close()
	asynctest.Until(t, "the end of all", func() bool { return s.Session().Err() != nil })
}

// TestSharedLimits: a connection ends after so many streams, when it idles, and when its server hangs up.
func TestSharedLimits(t *testing.T) {
	address, _ := http2Server(t, 100)
	d := &countingDialer{}
	pools := NewPools(d, Limits{Idle: 10, Requests: 3, IdleTimeout: 50 * time.Millisecond}, time.Now)
	defer pools.Close()
	p := pools.Pool(Key{Address: address, Proto: ProtoGRPC}, nil)
	var last *session.Session
	for range 6 {
		s, _ := ask(t, p, "/")
		last = s.Session()
		answered(t, s)
	}
	if n := d.opened(); n < 2 {
		t.Errorf("6 streams over %d connections, 3 on each at most", n)
	}
	asynctest.Until(t, "the last connection to idle", func() bool { return last.Err() != nil })
	pools.Sweep()
	pools.Sweep()
	if pools.Len() != 0 {
		t.Error("a pool without connections is kept")
	}
}

// slowDialer opens nothing, and takes until release is closed to find out.
type slowDialer struct{ started, release chan struct{} }

var errNoRoute = errors.New("no route")

func (d *slowDialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	d.started <- struct{}{}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.release:
		return nil, errNoRoute
	}
}

// TestSharedDialWait: who waits for a connection waits for connect_timeout at most, and for one dial.
func TestSharedDialWait(t *testing.T) {
	const waiters = 20
	wait := func(timeout time.Duration, meanwhile func(d *slowDialer, first context.CancelFunc)) (errs [waiters]error, d *slowDialer) {
		d = &slowDialer{started: make(chan struct{}, waiters), release: make(chan struct{})}
		pools := NewPools(d, Limits{Idle: 10}, time.Now)
		defer pools.Close()
		p := pools.Pool(Key{Address: netip.MustParseAddrPort("127.0.0.1:1"), Proto: ProtoGRPC}, nil)
		var all sync.WaitGroup
		join := func(i int, ctx context.Context) {
			all.Add(1)
			go func() { defer all.Done(); _, _, errs[i] = p.Session(ctx, timeout) }()
		}
		first, cancel := context.WithCancel(t.Context())
		defer cancel()
		join(0, first)
		<-d.started
		for i := 1; i < waiters; i++ {
			join(i, t.Context())
		}
		meanwhile(d, cancel)
		all.Wait()
		return errs, d
	}
	began := time.Now()
	errs, _ := wait(500*time.Millisecond, func(*slowDialer, context.CancelFunc) {})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an address that says nothing: %v", took)
	}
	for _, err := range errs {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an address that says nothing: %v", err)
		}
	}
	// The one who began may leave: the others wait on.
	errs, d := wait(http2Patience, func(d *slowDialer, first context.CancelFunc) {
		first()
		time.AfterFunc(time.Second, func() { close(d.release) })
	})
	if !errors.Is(errs[0], context.Canceled) {
		t.Errorf("one that leaves: %v", errs[0])
	}
	for _, err := range errs[1:] {
		if !errors.Is(err, errNoRoute) {
			t.Errorf("an address that is not there: %v", err)
		}
	}
	if n := len(d.started); n > 1 {
		t.Errorf("%d more dials", n)
	}
}

func TestSharedDialFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close()
	pools := NewPools(&net.Dialer{}, Limits{Idle: 10}, time.Now)
	defer pools.Close()
	p := pools.Pool(Key{Address: address, Proto: ProtoGRPC}, nil)
	var all sync.WaitGroup
	for range 10 {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, _, err := p.Session(t.Context(), http2Patience); err == nil {
				t.Error("connected to nobody")
			}
		}()
	}
	all.Wait()
	// A server that speaks TLS, but not HTTP/2.
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	p = pools.Pool(Key{Address: netip.MustParseAddrPort(web.Listener.Addr().String()), Proto: ProtoGRPCS}, web.Client().Transport.(*http.Transport).TLSClientConfig)
	var failed *HandshakeError
	if _, _, err := p.Session(t.Context(), http2Patience); !errors.As(err, &failed) {
		t.Errorf("a server without h2: %v", err)
	}
}

// A connection that carries many streams is used until it is too old, however
// busy it is; then it ends once its streams have.
func TestSharedAge(t *testing.T) {
	address, release := http2Server(t, 10)
	close(release)
	d := &countingDialer{}
	var passed atomic.Int64
	start := time.Now()
	pools := NewPools(d, Limits{Idle: 10, IdleTimeout: time.Hour, Age: time.Minute}, func() time.Time { return start.Add(time.Duration(passed.Load())) })
	defer pools.Close()
	p := pools.Pool(Key{Address: address, Proto: ProtoGRPC}, nil)
	first, _ := ask(t, p, "/")
	answered(t, first)
	passed.Store(int64(59 * time.Second))
	again, reused := ask(t, p, "/")
	answered(t, again)
	if !reused || d.opened() != 1 {
		t.Errorf("a connection that is not too old is not used (reused %t, %d opened)", reused, d.opened())
	}
	passed.Store(int64(time.Minute))
	last, reused := ask(t, p, "/")
	answered(t, last)
	if reused || d.opened() != 2 {
		t.Errorf("a connection that is too old is used (reused %t, %d opened)", reused, d.opened())
	}
}
