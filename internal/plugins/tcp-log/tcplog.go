// SPDX-License-Identifier: Apache-2.0

// Package tcplog sends a record of each request or session to a TCP server, a
// line each (https://docs.konghq.com/hub/kong-inc/tcp-log/).
//
// Records wait in a queue of the process, shared by instances with the same
// config. Those that wait together are sent together; what cannot be sent is
// lost.
package tcplog

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logqueue"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 7, Configure: configure}

const name = "tcp-log"

type config struct {
	Host      string  `json:"host"`
	Port      int     `json:"port"`
	Timeout   float64 `json:"timeout"`   // milliseconds
	Keepalive float64 `json:"keepalive"` // milliseconds
	TLS       bool    `json:"tls"`
	SNI       string  `json:"tls_sni"`
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := logqueue.Decode(c, conf); err != nil {
		return nil, err
	}
	l, err := logqueue.Open(c.Host, name, conf, logqueue.Once(), func() logqueue.Sink { return newServer(conf, c.Host) })
	if err != nil {
		return nil, err
	}
	return l.Phases(), nil
}

// server is the other end. It is used by one goroutine at a time.
type server struct {
	host      plugin.Host
	address   string
	timeout   time.Duration
	keepalive time.Duration
	tls       *tls.Config // nil without TLS
	conn      *connection // kept from the last batch, nil for none
}

func newServer(c *config, host plugin.Host) *server {
	s := &server{
		host: host, address: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)),
		timeout: milliseconds(c.Timeout), keepalive: milliseconds(c.Keepalive),
	}
	if c.TLS {
		// Kong does not verify the certificates of log servers, which are often
		// self-signed; a config that works there has to work here.
		s.tls = &tls.Config{InsecureSkipVerify: true, ServerName: c.SNI, MinVersion: tls.VersionTLS12} //nolint:gosec // see above
	}
	return s
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// connection is one that the server may have ended meanwhile.
type connection struct {
	net.Conn
	ended chan struct{}
	idle  *time.Timer
}

// Send implements logqueue.Sink.
func (s *server) Send(ctx context.Context, batch [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.connection(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", s.address, err)
	}
	lines := make([]byte, 0, size(batch))
	for _, record := range batch {
		lines = append(append(lines, record...), '\n')
	}
	_ = conn.SetWriteDeadline(time.Now().Add(s.timeout))
	if _, err := conn.Write(lines); err != nil {
		s.Close()
		return fmt.Errorf("%s: %w", s.address, err)
	}
	conn.idle.Reset(s.keepalive)
	return nil
}

func size(batch [][]byte) (n int) {
	for _, record := range batch {
		n += len(record) + 1
	}
	return n
}

// connection returns the one that is kept, unless it ended, or a new one.
func (s *server) connection(ctx context.Context) (*connection, error) {
	if c := s.conn; c != nil {
		select {
		case <-c.ended:
		default:
			if c.idle.Stop() {
				return c, nil
			}
		}
		s.Close()
	}
	conn, err := s.host.Dial(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		secured := tls.Client(conn, s.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secured
	}
	c := &connection{Conn: conn, ended: make(chan struct{})}
	c.idle = time.AfterFunc(time.Hour, func() { _ = conn.Close() })
	c.idle.Stop()
	go func() {
		// Servers that collect say nothing: the only news is the end.
		_, _ = io.Copy(io.Discard, conn)
		close(c.ended)
	}()
	s.conn = c
	return c, nil
}

// Close implements logqueue.Sink.
func (s *server) Close() {
	if s.conn != nil {
		s.conn.idle.Stop()
		_ = s.conn.Close()
		s.conn = nil
	}
}
