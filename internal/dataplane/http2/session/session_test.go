// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2/session"
)

const patience = 20 * time.Second

// TestAgainstNetHTTP has net/http's client talk to a session from many goroutines.
func TestAgainstNetHTTP(t *testing.T) {
	s := serve(t, echo, nil)
	c := client(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 1; n < 10; n++ {
				text := strings.Repeat(strconv.Itoa(i), (i+1)*n*1000)
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/", strings.NewReader(text))
				r.Header.Set("X-I", strconv.Itoa(i))
				r.Trailer = http.Header{"X-Sum": {strconv.Itoa(len(text))}}
				resp, err := c.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(body) != text || resp.Header.Get("X-I") != strconv.Itoa(i) || resp.Trailer.Get("X-Sum") != strconv.Itoa(len(text)) {
					t.Errorf("%d/%d: %d bytes of %d, %v, %v", i, n, len(body), len(text), resp.Trailer, err)
				}
			}
		}()
	}
	wg.Wait()
}

func TestClientToServer(t *testing.T) {
	s := serve(t, echo, nil)
	x := dial(t, s.address)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			text := bytes.Repeat([]byte(fmt.Sprint(i)), i*50000)
			st := open(t, x, "POST", "/", false)
			defer st.Done()
			sent := make(chan error, 1)
			go func() { sent <- st.Write(text, true, patience) }()
			if status, err := status(st, patience); err != nil || status != 200 {
				t.Errorf("%d: %v", i, err)
				return
			}
			var got []byte
			for {
				data, last, err := st.Read(patience)
				got = append(got, data...)
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
				if last || err != nil {
					break
				}
			}
			if err := <-sent; err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d: %d bytes of %d, %v", i, len(got), len(text), err)
			}
		}()
	}
	wg.Wait()
	if since, idle := x.IdleSince(); !idle || since.IsZero() {
		t.Error("the connection is not idle")
	}
}

// TestFailures: who waits is told that its stream, or its connection, is gone.
func TestFailures(t *testing.T) {
	type outcome struct {
		err    error
		called bool
	}
	out := make(chan outcome, 1)
	started := make(chan struct{}, 1)
	s := serve(t, func(s *session.Stream) {
		failed := make(chan struct{})
		s.OnFail(func() { close(failed) })
		started <- struct{}{}
		if r, _ := s.Request(); string(r.Path) == "/hold" {
			<-failed
		}
		_, _, err := s.Read(patience)
		var called bool
		select {
		case <-failed:
			called = true
		default:
		}
		out <- outcome{err, called}
	}, nil)
	var reset *session.StreamError
	x := dial(t, s.address)
	st := open(t, x, "POST", "/", false)
	<-started
	st.Reset(http2.CodeCancel)
	st.Done()
	if o := <-out; !errors.As(o.err, &reset) || reset.Code != http2.CodeCancel || !reset.ByPeer || !o.called {
		t.Errorf("reset: %+v", o)
	}
	open(t, x, "POST", "/", false)
	<-started
	x.Close()
	if o := <-out; !errors.Is(o.err, session.ErrClosed) || !o.called {
		t.Errorf("close: %+v", o)
	}
	x = dial(t, s.address)
	st = open(t, x, "GET", "/", true)
	<-started
	// The server's handler is done without an answer.
	<-out
	if _, err := status(st, patience); !errors.As(err, &reset) || reset.Code != http2.CodeInternal {
		t.Errorf("no answer: %v", err)
	}
	st.Done()
	st = open(t, x, "POST", "/hold", false)
	<-started
	if _, err := status(st, time.Millisecond); !errors.Is(err, session.ErrTimeout) {
		t.Errorf("an answer that does not come: %v", err)
	}
	// The window ends, nobody consumes.
	if err := st.Write(make([]byte, 1<<20), true, 10*time.Millisecond); !errors.Is(err, session.ErrTimeout) {
		t.Errorf("a server that takes nothing: %v", err)
	}
	waits := make(chan error, 1)
	go func() { _, _, err := st.Read(patience); waits <- err }()
	st.StopReading()
	if err := <-waits; !errors.Is(err, session.ErrStopped) {
		t.Errorf("stopped: %v", err)
	}
	st.ResumeReading()
	go func() { _, err := status(st, patience); waits <- err }()
	st.Abort(x, st.ID()+2) // another one's
	st.Abort(x, st.ID())
	if err := <-waits; !errors.As(err, &reset) || reset.ByPeer {
		t.Errorf("aborted: %v", err)
	}
	st.Done()
	<-out
	// The server is closed under its clients. That connection was silent for too long.
	x = dial(t, s.address)
	st = open(t, x, "POST", "/", false)
	<-started
	s.each((*session.Session).Close)
	<-out
	if _, err := status(st, patience); err == nil {
		t.Error("answered by a closed server")
	}
	st.Done()
}

// TestUnread: a client that sends and reads nothing loses its connection, whose output stays small.
func TestUnread(t *testing.T) {
	s := serve(t, func(s *session.Stream) {
		for {
			if _, last, err := s.Read(patience); err != nil || last {
				return
			}
		}
	}, nil)
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.(*net.TCPConn).SetReadBuffer(4096)
	var b bytes.Buffer
	f := xhttp2.NewFramer(&b, nil)
	b.WriteString(xhttp2.ClientPreface)
	_ = f.WriteSettings()
	// POST http://a/
	_ = f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x83\x86\x84\x41\x01a"), EndHeaders: true})
	_, _ = nc.Write(b.Bytes())
	b.Reset()
	for range 1000 {
		_ = f.WriteData(1, false, make([]byte, 16))
		_ = f.WritePing(false, [8]byte{})
	}
	_ = nc.SetWriteDeadline(time.Now().Add(patience))
	for sent := 0; ; {
		n, err := nc.Write(b.Bytes())
		sent += n
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			break
		}
		// For a while after it was refused what the client sends is still read.
		if err != nil {
			t.Fatalf("%v after %d bytes", err, sent)
		}
	}
	var calm *http2.ConnError
	s.each(func(x *session.Session) {
		if !errors.As(x.Err(), &calm) || calm.Code != http2.CodeEnhanceYourCalm {
			t.Error(x.Err())
		}
	})
}

// TestSilence: a connection on which nothing comes while a stream waits gets no further ones; one with others that are answered
// does.
func TestSilence(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(s *session.Stream) {
		if r, _ := s.Request(); string(r.Path) == "/hold" {
			<-release
		}
		echo(s)
	}, nil)
	defer close(release)
	for name, wait := range map[string]func(*session.Stream) error{
		"head": func(s *session.Stream) error { _, err := status(s, 50*time.Millisecond); return err },
		"body": func(s *session.Stream) error { _, _, err := s.Read(50 * time.Millisecond); return err },
		// The window ends.
		"request": func(s *session.Stream) error { return s.Write(make([]byte, 1<<20), true, 50*time.Millisecond) },
	} {
		x := dial(t, s.address)
		st := open(t, x, "POST", "/hold", false)
		if err := wait(st); !errors.Is(err, session.ErrTimeout) {
			t.Errorf("%s: %v", name, err)
		}
		if _, lasting := x.Free(); lasting {
			t.Errorf("%s: a silent connection takes streams", name)
		}
		if x.Err() != nil {
			t.Errorf("%s: %v", name, x.Err())
		}
		st.Done()
		if x.Err() == nil {
			t.Errorf("%s: the connection is kept for nobody", name)
		}
	}
	x := dial(t, s.address)
	st := open(t, x, "POST", "/hold", false)
	timedOut := make(chan error, 1)
	go func() { _, err := status(st, time.Second); timedOut <- err }()
	for err := error(nil); err == nil; {
		other := open(t, x, "GET", "/", true)
		if _, err := status(other, patience); err != nil {
			t.Fatal(err)
		}
		other.Done()
		select {
		case err = <-timedOut:
		default:
		}
	}
	if _, lasting := x.Free(); !lasting {
		t.Error("a connection that others are answered on takes no streams")
	}
	st.Done()
}

// TestDrain lets streams finish, takes those that are under way and then hangs up.
func TestDrain(t *testing.T) {
	release := make(chan struct{})
	var began sync.WaitGroup
	began.Add(10)
	s := serve(t, func(s *session.Stream) {
		began.Done()
		<-release
		echo(s)
	}, nil)
	c := client(t)
	var wg sync.WaitGroup
	var good atomic.Int32
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/", nil)
			if resp, err := c.Do(r); err == nil {
				_ = resp.Body.Close()
				good.Add(1)
			}
		}()
	}
	began.Wait()
	s.each((*session.Session).Drain)
	close(release)
	wg.Wait()
	if good.Load() != 10 {
		t.Errorf("%d of 10 were answered", good.Load())
	}
}

// TestIdle: connections that say nothing are hung up on, with two GOAWAYs if they have started.
func TestIdle(t *testing.T) {
	s := serve(t, echo, func(o *session.Options) { o.StartTimeout, o.IdleTimeout = 50*time.Millisecond, 50*time.Millisecond })
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, nc); err != nil {
		t.Errorf("no preface: %v", err)
	}
	_ = nc.Close()
	x := dial(t, s.address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for lasting := true; lasting; {
		_, lasting = x.Free()
		if ctx.Err() != nil {
			t.Fatal("the connection stays open")
		}
	}
}

// TestInterim passes interim heads on.
func TestInterim(t *testing.T) {
	s := serve(t, func(s *session.Stream) {
		for _, status := range []int{100, 103, 103} {
			_ = s.WriteHead(&http1.ResponseHead{Status: status})
		}
		_ = s.WriteHead(&http1.ResponseHead{Status: 204})
		_ = s.Write(nil, true, patience)
	}, nil)
	st := open(t, dial(t, s.address), "GET", "/", true)
	var seen []int
	for range 3 {
		next, err := status(st, patience)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, next)
	}
	if fmt.Sprint(seen) != "[103 103 204]" {
		t.Error(seen)
	}
	if data, last, err := st.Read(patience); len(data) > 0 || !last || err != nil {
		t.Errorf("%q %v %v", data, last, err)
	}
	st.Done()
}

// BenchmarkExchange is a request and its answer over a socket, with a client that is a session, too.
func BenchmarkExchange(b *testing.B) {
	header := http1.Header{}
	header.Add("server", []byte("x"))
	body := []byte("abc")
	s := serve(b, func(s *session.Stream) {
		_ = s.WriteHead(&http1.ResponseHead{Status: 200, Framing: http1.BodyLength, ContentLength: 3, Header: &header})
		_ = s.Write(body, true, patience)
	}, nil)
	x := dial(b, s.address)
	var e http2.Encoder
	block, _ := e.AppendRequest(nil, &http1.RequestHead{Method: []byte("GET"), Path: []byte("/a"), Host: []byte("a.test")}, "http")
	var head http1.Response
	b.ReportAllocs()
	for b.Loop() {
		st, err := x.Open(http1.MethodGet, block, true)
		if err != nil {
			b.Fatal(err)
		}
		if err := st.NextHead(&head, patience); err != nil {
			b.Fatal(err)
		}
		for last := false; !last; {
			if _, last, err = st.Read(patience); err != nil {
				b.Fatal(err)
			}
		}
		st.Done()
	}
}
