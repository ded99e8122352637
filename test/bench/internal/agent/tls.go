// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// patience bounds how long a client waits for anything.
const patience = 10 * time.Second

// tlsConfig asks for the same key exchange of every proxy: Go's own preference,
// a hybrid with ML-KEM, costs those more that know it. Certificates are not
// verified: they are the proxy's own, made for the measurement.
func tlsConfig(load *Load) *tls.Config {
	config := &tls.Config{
		ServerName: load.Requests[0].Host, MinVersion: tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519},
		InsecureSkipVerify: true, // #nosec G402 -- see above
	}
	if load.Protocol == HTTP2 {
		config.NextProtos = []string{"h2"}
	}
	return config
}

// dial opens a connection of the load's protocol.
func dial(load *Load, config *tls.Config) (net.Conn, *tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", load.Target)
	if err != nil || load.Protocol == H2C {
		return conn, nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("TLS handshake: %w", err)
	}
	state := secured.ConnectionState()
	if load.Protocol == HTTP2 && state.NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return nil, nil, errors.New("the proxy does not agree on h2 by ALPN")
	}
	return secured, &state, nil
}

// tlsClient sends HTTP/1.1 requests over one TLS connection after another, or
// over the same one.
type tlsClient struct {
	counters
	load     *Load
	config   *tls.Config
	requests [][]byte
	request  int
	expect   expectation
	conn     net.Conn
	buf      []byte
}

func newTLSClient(load *Load, number int, p *phase) *tlsClient {
	requests := load.Requests
	if load.Protocol == Handshakes {
		requests = nil
		for _, r := range load.Requests {
			r.Header = append(r.Header[:len(r.Header):len(r.Header)], Header{"Connection", "close"})
			requests = append(requests, r)
		}
	}
	return &tlsClient{
		counters: counters{phase: p}, load: load, config: tlsConfig(load), requests: formatAll(requests),
		request: number % len(requests), expect: expectationOf(load), buf: make([]byte, scratchSize),
	}
}

// once sends one request and reads its answer.
func (c *tlsClient) once() error {
	began := time.Now()
	if c.conn == nil {
		conn, state, err := dial(c.load, c.config)
		if err != nil {
			return err
		}
		c.conn, c.cipher = conn, cipherOf(state)
	}
	request := c.requests[c.request]
	c.request = (c.request + 1) % len(c.requests)
	c.sent++
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("at the client: %w", err)
	}
	if err := c.readAnswer(); err != nil {
		return err
	}
	if c.load.Protocol == Handshakes {
		c.close()
	}
	c.done(began, time.Now())
	return nil
}

func (c *tlsClient) readAnswer() error {
	filled, end := 0, -1
	for end < 0 || filled < end {
		if filled == len(c.buf) {
			return fmt.Errorf("an answer is longer than %d bytes", len(c.buf))
		}
		n, err := c.conn.Read(c.buf[filled:])
		filled += n
		if n == 0 && err != nil {
			return fmt.Errorf("at the client: %w", err)
		}
		if end >= 0 {
			continue
		}
		i := bytes.Index(c.buf[:filled], headEnd)
		if i < 0 {
			continue
		}
		head := c.buf[:i+len(headEnd)]
		length, err := c.check(head)
		if err != nil {
			return err
		}
		if c.wanted() {
			c.samples = append(c.samples, string(head))
		}
		end = len(head) + int(length)
	}
	if filled > end {
		return fmt.Errorf("%d bytes follow an answer", filled-end)
	}
	return nil
}

// check takes the end of the connection for granted where it was asked for.
func (c *tlsClient) check(head []byte) (int64, error) {
	if c.load.Protocol != Handshakes {
		return c.expect.check(head)
	}
	if !bytes.HasPrefix(head, c.expect.start) {
		line, _, _ := bytes.Cut(head, []byte("\r"))
		return 0, fmt.Errorf("the proxy answered %q, want %q", line, c.expect.start)
	}
	n, ok := lengthOf(head)
	if !ok || n != c.expect.length {
		return 0, fmt.Errorf("an answer has %d bytes, the backend sent %d", n, c.expect.length)
	}
	return n, nil
}

func (c *tlsClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *tlsClient) counted() *counters { return &c.counters }

func cipherOf(state *tls.ConnectionState) string {
	if state == nil {
		return ""
	}
	return tls.CipherSuiteName(state.CipherSuite) + ", " + state.CurveID.String()
}
