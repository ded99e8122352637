// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// clientTimeout bounds one request of a client.
const clientTimeout = 30 * time.Second

// client is one kind of traffic: each call is one request, or a few.
type client struct {
	name string
	// each returns a function that one worker calls again and again.
	each func(p *proxy) func(ctx context.Context) error
}

var clients = []client{
	{"keep-alive", func(p *proxy) func(context.Context) error {
		return getter(plainClient(false), "http://"+p.plain+"/size/3", 3)
	}},
	{"new connection", func(p *proxy) func(context.Context) error {
		return getter(plainClient(true), "http://"+p.plain+"/size/100", 100)
	}},
	{"64 KiB answer", func(p *proxy) func(context.Context) error {
		return getter(plainClient(false), "http://"+p.plain+"/size/65536", 65536)
	}},
	{"chunked answer", func(p *proxy) func(context.Context) error {
		return getter(plainClient(false), "http://"+p.plain+"/chunked/50000", 50000)
	}},
	{"small upload", func(p *proxy) func(context.Context) error { return uploader(p, 500, false) }},
	{"large upload", func(p *proxy) func(context.Context) error { return uploader(p, 300_000, false) }},
	{"chunked upload", func(p *proxy) func(context.Context) error { return uploader(p, 100_000, true) }},
	{"key-auth", func(p *proxy) func(context.Context) error {
		return getter(plainClient(false), "http://"+p.plain+"/guarded/size/10?apikey=soak-key", 10)
	}},
	{"TLS keep-alive", func(p *proxy) func(context.Context) error {
		return getter(secureClient(false, false), "https://"+p.secure+"/size/1000", 1000)
	}},
	{"TLS handshakes", func(p *proxy) func(context.Context) error {
		return getter(secureClient(true, false), "https://"+p.secure+"/size/1000", 1000)
	}},
	{"HTTP/2", func(p *proxy) func(context.Context) error {
		return getter(secureClient(false, true), "https://"+p.secure+"/size/1000", 1000)
	}},
	{"no key", func(p *proxy) func(context.Context) error {
		return failing(p, "/guarded/size/1", http.StatusUnauthorized)
	}},
	{"server error", func(p *proxy) func(context.Context) error {
		return failing(p, "/error", http.StatusInternalServerError)
	}},
	{"broken answer", func(p *proxy) func(context.Context) error { return failing(p, "/broken", http.StatusBadGateway) }},
	{"dead backend", func(p *proxy) func(context.Context) error { return failing(p, "/dead", http.StatusBadGateway) }},
	{"cut answer", cutAnswers},
	{"departing client", departures},
	{"bad request", badRequests},
	{"short WebSocket", func(p *proxy) func(context.Context) error {
		return func(ctx context.Context) error {
			s, err := openSocket(ctx, p)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			return s.echo("short")
		}
	}},
	{"long WebSocket", longSocket},
}

// startClients runs workers of every kind until ctx ends.
func startClients(ctx context.Context, running *sync.WaitGroup, o *options, p *proxy, t *tally) {
	for _, kind := range clients {
		for range o.workers {
			each := kind.each(p)
			running.Go(func() {
				tick := time.NewTicker(o.pause)
				defer tick.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-tick.C:
					}
					// What has begun is finished.
					limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), clientTimeout)
					t.note(kind.name, each(limited))
					cancel()
				}
			})
		}
	}
}

func plainClient(fresh bool) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: fresh}}
}

func secureClient(fresh, http2 bool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: fresh, ForceAttemptHTTP2: http2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // the proxy's own certificate
	}}
}

// ask sends a request and returns the answer's body.
func ask(ctx context.Context, c *http.Client, method, url string, body io.Reader, status int) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	switch {
	case err != nil:
		return nil, fmt.Errorf("answer: %w", err)
	case answer.StatusCode != status:
		return nil, fmt.Errorf("got %s, want %d: %.100q", answer.Status, status, got)
	case answer.Header.Get("X-Version") == "" && status < http.StatusBadRequest:
		return nil, errors.New("X-Version is missing")
	}
	return got, nil
}

func getter(c *http.Client, url string, n int) func(context.Context) error {
	want := []byte(content(n))
	return func(ctx context.Context) error {
		got, err := ask(ctx, c, http.MethodGet, url, nil, http.StatusOK)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("body of %d bytes differs from what was sent", len(got))
		}
		return err
	}
}

func uploader(p *proxy, n int, chunked bool) func(context.Context) error {
	c := plainClient(false)
	want := content(n)
	return func(ctx context.Context) error {
		var body io.Reader = strings.NewReader(want)
		if chunked {
			body = struct{ io.Reader }{body}
		}
		got, err := ask(ctx, c, http.MethodPost, "http://"+p.plain+"/echo", body, http.StatusOK)
		if err == nil && string(got) != want {
			err = fmt.Errorf("%d bytes came back, %d were sent", len(got), n)
		}
		return err
	}
}

func failing(p *proxy, path string, status int) func(context.Context) error {
	c := plainClient(false)
	return func(ctx context.Context) error {
		_, err := ask(ctx, c, http.MethodGet, "http://"+p.plain+path, nil, status)
		return err
	}
}

// cutAnswers checks that an answer which breaks off does not look complete.
func cutAnswers(p *proxy) func(context.Context) error {
	c := plainClient(false)
	return func(ctx context.Context) error {
		if _, err := ask(ctx, c, http.MethodGet, "http://"+p.plain+"/cut", nil, http.StatusOK); !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("got %w, want an unexpected end", err)
		}
		return nil
	}
}

// departures leaves before the answer comes.
func departures(p *proxy) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := dial(ctx, p.plain)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: soak\r\n\r\n"); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1))
		return nil
	}
}

// badRequests sends what is refused with a closed connection.
func badRequests(p *proxy) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := dial(ctx, p.plain)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		all, err := io.ReadAll(c)
		if n := bytes.Count(all, []byte("HTTP/1.1 ")); err != nil || n != 1 || !bytes.HasPrefix(all, []byte("HTTP/1.1 400 ")) {
			return fmt.Errorf("got %.100q, %w", all, err)
		}
		return nil
	}
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(clientTimeout))
	}
	return c, err
}

// socket is a WebSocket whose frames are lines.
type socket struct {
	net.Conn
	in *bufio.Reader
}

func openSocket(ctx context.Context, p *proxy) (*socket, error) {
	c, err := dial(ctx, p.plain)
	if err != nil {
		return nil, err
	}
	_, _ = io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: soak\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: "+socketKey+"\r\nSec-WebSocket-Version: 13\r\n\r\n")
	s := &socket{c, bufio.NewReader(c)}
	answer, err := http.ReadResponse(s.in, nil) //nolint:bodyclose // a 101 has none
	if err == nil && answer.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("WebSocket: got %s", answer.Status)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) echo(text string) error {
	_ = s.SetDeadline(time.Now().Add(clientTimeout))
	if _, err := io.WriteString(s, text+"\n"); err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	if got, err := s.in.ReadString('\n'); err != nil || got != text+"\n" {
		return fmt.Errorf("WebSocket: got %q, %w", got, err)
	}
	return nil
}

// longSocket keeps one WebSocket open all the time, over all reloads.
func longSocket(p *proxy) func(context.Context) error {
	var s *socket
	return func(ctx context.Context) (err error) {
		if s == nil {
			if s, err = openSocket(ctx, p); err != nil {
				return err
			}
		}
		return s.echo("long")
	}
}
