// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// server accepts connections and hands them to the test.
func server(t *testing.T) (Key, chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 100)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	return Key{Address: netip.MustParseAddrPort(l.Addr().String()), Proto: "http"}, conns
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newPools(limits Limits) (*Pools, *clock) {
	c := &clock{now: time.Now()}
	return NewPools(&net.Dialer{}, limits, c.Now), c
}

func open(t *testing.T, p *Pool) *Conn {
	t.Helper()
	c, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Use(make([]byte, 64))
	return c
}

var roomy = Limits{Idle: 10, Requests: 3, IdleTimeout: time.Minute}

func TestReuse(t *testing.T) {
	key, conns := server(t)
	pools, now := newPools(roomy)
	p := pools.Pool(key, nil)
	if p.Reuse(now.Now()) != nil {
		t.Fatal("a new pool has a connection")
	}
	first := open(t, p)
	if first.Reused() {
		t.Error("a new connection says that it was used")
	}
	first.Put(now.Now())
	if got := p.Reuse(now.Now()); got != first || !got.Reused() {
		t.Fatal("the idle connection is not used again")
	}
	second := open(t, p)
	first.Put(now.Now())
	second.Put(now.Now())
	if got := p.Reuse(now.Now()); got != second {
		t.Error("not the one that was used last")
	}
	second.Put(now.Now())
	if second.requests != 2 {
		t.Errorf("%d requests", second.requests)
	}
	p.Reuse(now.Now()).Put(now.Now())
	if n := pools.Idle(); n != 1 {
		t.Errorf("%d idle connections; one has carried all the requests it may", n)
	}
	_ = (<-conns).Close()
	_ = (<-conns).Close()
}

// A connection that its peer closed, or wrote to unasked, carries no request.
func TestDeadConnections(t *testing.T) {
	key, conns := server(t)
	pools, now := newPools(roomy)
	p := pools.Pool(key, nil)
	for name, spoil := range map[string]func(net.Conn){
		"closed": func(c net.Conn) { _ = c.Close() },
		"bytes":  func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n") },
		"reset": func(c net.Conn) {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	} {
		c := open(t, p)
		peer := <-conns
		c.ArmRead(time.Now(), time.Nanosecond) // a deadline of the past is not death
		c.Put(now.Now())
		spoil(peer)
		// The peer's doing arrives when it does: wait until the kernel has it.
		for end := time.Now().Add(10 * time.Second); c.alive() && time.Now().Before(end); {
			_, _ = peer.Write(nil)
		}
		if p.Reuse(now.Now()) != nil {
			t.Errorf("%s: the connection is used again", name)
		}
		_ = peer.Close()
	}
	c := open(t, p)
	c.ArmRead(time.Now(), time.Nanosecond)
	c.Put(now.Now())
	if p.Reuse(now.Now()) != c {
		t.Error("a connection whose deadline has passed is not used again")
	}
}

func TestLimits(t *testing.T) {
	key, _ := server(t)
	pools, now := newPools(Limits{Idle: 2, IdleTimeout: time.Minute})
	p := pools.Pool(key, nil)
	a, b, c := open(t, p), open(t, p), open(t, p)
	for _, conn := range []*Conn{a, b, c} {
		conn.Put(now.Now())
	}
	if n := pools.Idle(); n != 2 {
		t.Errorf("%d idle connections, want 2", n)
	}
	now.pass(time.Minute)
	if p.Reuse(now.Now()) != nil {
		t.Error("a connection that idled for too long is used")
	}
	dirty := open(t, p)
	dirty.R, dirty.W = 0, 1
	dirty.Put(now.Now())
	if n := pools.Idle(); n != 0 {
		t.Errorf("a connection with unread bytes waits for a request")
	}
}

// A connection is used until it is too old, however busy it is.
func TestAge(t *testing.T) {
	key, _ := server(t)
	pools, now := newPools(Limits{Idle: 2, IdleTimeout: time.Minute, Age: time.Hour})
	p := pools.Pool(key, nil)
	c := open(t, p)
	for range 119 {
		c.Put(now.Now())
		now.pass(30 * time.Second)
		if p.Reuse(now.Now()) != c {
			t.Fatal("a connection that is not too old is not used")
		}
	}
	c.Put(now.Now())
	now.pass(30 * time.Second)
	if p.Reuse(now.Now()) != nil {
		t.Error("a connection that is too old is used")
	}
	old := open(t, p)
	now.pass(time.Hour)
	old.Put(now.Now())
	if n := pools.Idle(); n != 0 {
		t.Errorf("%d idle connections; the one that came back is too old", n)
	}
}

// Connections that are older than the change of their address are not used
// again; those of other addresses are.
func TestRetire(t *testing.T) {
	key, _ := server(t)
	other, _ := server(t)
	pools, now := newPools(roomy)
	p, q := pools.Pool(key, nil), pools.Pool(other, nil)
	idle, busy, elsewhere := open(t, p), open(t, p), open(t, q)
	idle.Put(now.Now())
	elsewhere.Put(now.Now())
	pools.Retire(key.Address)
	if p.Reuse(now.Now()) != nil {
		t.Error("an older idle connection is used")
	}
	busy.Put(now.Now())
	if p.Reuse(now.Now()) != nil {
		t.Error("an older busy connection is used after its answer")
	}
	fresh := open(t, p)
	fresh.Put(now.Now())
	if p.Reuse(now.Now()) != fresh || q.Reuse(now.Now()) != elsewhere {
		t.Error("a younger connection, or one of another address, is not used")
	}
}

func TestSweepForgets(t *testing.T) {
	key, conns := server(t)
	pools, now := newPools(roomy)
	p := pools.Pool(key, nil)
	busy := open(t, p)
	open(t, p).Put(now.Now())
	pools.Sweep()
	if pools.Len() != 1 || pools.Idle() != 1 {
		t.Fatalf("%d pools, %d idle", pools.Len(), pools.Idle())
	}
	now.pass(2 * time.Minute)
	pools.Sweep()
	pools.Sweep()
	if pools.Len() != 0 || !p.Forgotten() {
		t.Errorf("%d pools, forgotten %t", pools.Len(), p.Forgotten())
	}
	busy.Put(now.Now())
	if len(p.idle) != 0 {
		t.Error("a forgotten pool keeps a connection")
	}
	if again := pools.Pool(key, nil); again == p || again.Forgotten() {
		t.Error("the pool of the key is not a new one")
	}
	for range 2 {
		_ = (<-conns).Close()
	}
}

func TestPoolsAreBounded(t *testing.T) {
	pools, _ := newPools(roomy)
	for i := range maxPools + 10 {
		p := pools.Pool(Key{Proto: "https", ServerName: fmt.Sprint(i)}, nil)
		if p.Forgotten() != (i >= maxPools) {
			t.Fatalf("pool %d: forgotten %t", i, p.Forgotten())
		}
	}
	if pools.Len() != maxPools {
		t.Errorf("%d pools", pools.Len())
	}
	pools.Close()
	if p := pools.Pool(Key{}, nil); !p.Forgotten() || pools.Len() != 0 {
		t.Error("pools are kept after Close")
	}
}

// Server names are views of requests, whose memory is used again.
func TestServerNamesAreCopied(t *testing.T) {
	pools, _ := newPools(roomy)
	name := []byte("one.test")
	key := Key{Proto: "https", ServerName: unsafe.String(&name[0], len(name))}
	p := pools.Pool(key, &tls.Config{MinVersion: tls.VersionTLS12})
	copy(name, "two.test")
	if again := pools.Pool(key, &tls.Config{MinVersion: tls.VersionTLS12}); again == p {
		t.Error("two server names share a pool")
	}
	if p.tls.ServerName != "one.test" || p.key.ServerName != "one.test" {
		t.Errorf("the pool of one.test is for %q and %q now", p.tls.ServerName, p.key.ServerName)
	}
}

func TestFill(t *testing.T) {
	key, conns := server(t)
	pools, _ := newPools(roomy)
	c := open(t, pools.Pool(key, nil))
	peer := <-conns
	c.Use(make([]byte, 8))
	_, _ = io.WriteString(peer, "headbody")
	for c.W < 8 {
		if err := c.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Fill(); !errors.Is(err, ErrFull) {
		t.Errorf("a full buffer: %v", err)
	}
	head := c.Buffered()[:4]
	c.Consume(4)
	c.Keep()
	c.Consume(2)
	_, _ = io.WriteString(peer, "more")
	var body strings.Builder
	for body.Len() < 6 {
		body.Write(c.Buffered())
		c.Consume(len(c.Buffered()))
		if body.Len() < 6 {
			if err := c.Fill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if string(head) != "head" || body.String() != "dymore" {
		t.Errorf("head %q, body %q", head, body.String())
	}
	_ = peer.Close()
	if err := c.Fill(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	pools, now := newPools(roomy)
	key := Key{Address: netip.MustParseAddrPort(s.Listener.Addr().String()), Proto: "https", ServerName: "example.com"}
	trusted, ok := s.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the test server's client has another transport")
	}
	roots := &tls.Config{RootCAs: trusted.TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
	c := open(t, pools.Pool(key, roots))
	if state := c.Conn.(*tls.Conn).ConnectionState(); state.ServerName != "example.com" {
		t.Errorf("server name %q", state.ServerName)
	}
	c.Put(now.Now())
	key.ServerName = "wrong.test"
	_, err := pools.Pool(key, roots).Open(context.Background())
	var failed *HandshakeError
	if !errors.As(err, &failed) {
		t.Errorf("a wrong name: %v", err)
	}
}
