// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2"
	"github.com/kong/kong-istio-gateway/internal/dataplane/http2/session"
)

func serverConfig() *http2.Config {
	l := http1.DefaultLimits()
	return &http2.Config{Limits: &l, MaxStreams: 100, StreamWindow: 256 << 10, ConnWindow: 1 << 20}
}

// server runs sessions on a listener until the test ends.
type server struct {
	address string
	mu      sync.Mutex
	all     []*session.Session
}

func serve(t testing.TB, handle func(*session.Stream), change func(*session.Options)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &session.Options{Config: serverConfig(), Handle: handle, StartTimeout: patience, IdleTimeout: patience, WriteTimeout: patience}
	if change != nil {
		change(o)
	}
	s := &server{address: l.Addr().String()}
	var running sync.WaitGroup
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			x := session.New(nc, nil, o, nil)
			s.mu.Lock()
			s.all = append(s.all, x)
			s.mu.Unlock()
			running.Add(1)
			go func() { defer running.Done(); x.Run() }()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		s.each((*session.Session).Close)
		running.Wait()
	})
	return s
}

func (s *server) each(do func(*session.Session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		do(x)
	}
}

// echo answers with the request's body as it comes.
func echo(s *session.Stream) {
	r, refusal := s.Request()
	if refusal != nil {
		_ = s.WriteHead(&http1.ResponseHead{Status: 400, ContentLength: -1})
		_ = s.Write(nil, true, patience)
		return
	}
	h := &http1.ResponseHead{Status: 200, Framing: http1.BodyChunked, ContentLength: -1, Header: &r.Header}
	if s.WriteHead(h) != nil {
		return
	}
	for last := r.Framing == http1.BodyNone; ; {
		if last {
			_ = s.WriteTrailers(nil, s.Trailers(), patience)
			return
		}
		var data []byte
		var err error
		if data, last, err = s.Read(patience); err != nil {
			s.Reset(http2.CodeCancel)
			return
		}
		if s.Write(data, false, patience) != nil {
			return
		}
	}
}

func client(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: &http.Protocols{}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

// dial opens a client session.
func dial(t testing.TB, address string) *session.Session {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	l := http1.DefaultResponseLimits()
	x := session.New(nc, nil, &session.Options{
		Config:       &http2.Config{Client: true, Limits: &l, StreamWindow: 256 << 10, ConnWindow: 1 << 20},
		StartTimeout: patience, IdleTimeout: patience, WriteTimeout: patience,
	}, nil)
	done := make(chan struct{})
	go func() { defer close(done); x.Run() }()
	t.Cleanup(func() { x.Close(); <-done })
	return x
}

func open(t testing.TB, x *session.Session, method, path string, last bool) *session.Stream {
	t.Helper()
	var e http2.Encoder
	block, err := e.AppendRequest(nil, &http1.RequestHead{Method: []byte(method), Path: []byte(path), Host: []byte("a.test")}, "http")
	if err != nil {
		t.Fatal(err)
	}
	s, err := x.Open(http1.LookupMethod([]byte(method)), block, last)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// status waits for the next head and returns its status.
func status(s *session.Stream, timeout time.Duration) (int, error) {
	var r http1.Response
	err := s.NextHead(&r, timeout)
	return r.Status, err
}
