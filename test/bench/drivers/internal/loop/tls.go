// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

// ListenTLS terminates TLS. crypto/tls reads from a connection that blocks, so
// that goroutines copy between it and a pair of sockets, whose other end is a
// client of a loop.
func (s *Server) ListenTLS(l net.Listener, config *tls.Config) {
	for next := 0; ; next++ {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		go s.terminate(s.loops[next%len(s.loops)], raw, config)
	}
}

func (s *Server) terminate(l *loop, raw net.Conn, config *tls.Config) {
	secured := tls.Server(raw, config)
	defer func() { _ = secured.Close() }()
	_ = raw.SetDeadline(time.Now().Add(site.HeaderTimeout))
	if secured.HandshakeContext(context.Background()) != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(pair[0]), "")
	inner, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		_ = unix.Close(pair[1])
		return
	}
	defer func() { _ = inner.Close() }()
	peers := site.Peers{Client: raw.RemoteAddr().(*net.TCPAddr).AddrPort(), Local: raw.LocalAddr().(*net.TCPAddr).AddrPort(), TLS: true}
	l.post(func() { l.adopt(pair[1], peers) })
	go func() {
		_, _ = io.CopyBuffer(onlyWriter{secured}, onlyReader{inner}, make([]byte, bodyBuffer))
		_ = secured.Close()
	}()
	_, _ = io.CopyBuffer(onlyWriter{inner}, onlyReader{secured}, make([]byte, bodyBuffer))
}

// onlyReader and onlyWriter keep io.CopyBuffer from taking a way of its own.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
