// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// backend is what the proxy's targets are.
type backend struct {
	servers   []*http.Server
	addresses []string
	dead      string // nobody listens there
	reserved  int    // the socket that sees to it
}

const headTimeout = time.Minute

func startBackend(ctx context.Context) (*backend, error) {
	b := &backend{}
	mux := http.NewServeMux()
	mux.HandleFunc("/size/{n}", sized)
	mux.HandleFunc("/chunked/{n}", chunked)
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		// Whole: net/http gives up the body once the answer has begun.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second):
		}
	})
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("/broken", hijacked(func(c net.Conn, _ *bufio.ReadWriter) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
	}))
	mux.HandleFunc("/cut", hijacked(func(c net.Conn, _ *bufio.ReadWriter) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	}))
	mux.HandleFunc("/socket", hijacked(webSocket))
	for range 2 {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s := &http.Server{Handler: mux, ReadHeaderTimeout: headTimeout}
		b.servers, b.addresses = append(b.servers, s), append(b.addresses, l.Addr().String())
		go func() { _ = s.Serve(l) }()
	}
	return b, b.reserve()
}

// reserve takes an address on which nobody listens, nor can.
func (b *backend) reserve() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	b.reserved = fd
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	b.dead = net.JoinHostPort("127.0.0.1", strconv.Itoa(address.(*unix.SockaddrInet4).Port))
	return nil
}

func (b *backend) close() {
	_ = unix.Close(b.reserved)
	for _, s := range b.servers {
		_ = s.Close()
	}
}

// pattern is what bodies are made of.
const pattern = "0123456789abcdef"

// content is a body of n bytes.
func content(n int) string { return strings.Repeat(pattern, n/len(pattern)+1)[:n] }

func sized(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(n))
	_, _ = io.WriteString(w, content(n))
}

func chunked(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for body := content(n); len(body) > 0; {
		piece := body[:min(len(body), 3000)]
		body = body[len(piece):]
		_, _ = io.WriteString(w, piece)
		_ = http.NewResponseController(w).Flush()
	}
}

// hijacked answers byte by byte and closes the connection.
func hijacked(answer func(net.Conn, *bufio.ReadWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		answer(c, buffered)
	}
}

// The key of every handshake, and the answer to it (RFC 6455 §1.3).
const (
	socketKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	socketAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// webSocket accepts a handshake and echoes lines; frames are nothing that the
// proxy looks at.
func webSocket(c net.Conn, buffered *bufio.ReadWriter) {
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+socketAccept+"\r\n\r\n")
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}
