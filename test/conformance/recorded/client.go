// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// patience bounds one exchange.
const patience = 15 * time.Second

// client sends requests and keeps the connections that it is told to keep.
type client struct {
	plain, secure string
	kept          map[string]*clientConn
	variant       Variant
}

type clientConn struct {
	net.Conn
	in     *bufio.Reader
	frames *client2 // where HTTP/2 is spoken
}

func (c *client) connect(s *Send) (*clientConn, error) {
	address := c.plain
	if c.variant.TLS && s.TLS == nil {
		s.TLS = &SendTLS{}
	}
	if s.TLS != nil || s.PlainTLS {
		address = c.secure
	}
	nc, err := net.DialTimeout("tcp", address, patience) //nolint:noctx // has its own bound
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	if s.TLS != nil {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: s.TLS.SNI, MinVersion: tls.VersionTLS12} //nolint:gosec // the gateway's own certificates
		if c.variant.HTTP2 {
			config.NextProtos = []string{http2.NextProtoTLS}
		}
		if s.TLS.Cert != "" {
			pair, err := tls.X509KeyPair([]byte(s.TLS.Cert), []byte(s.TLS.Key))
			if err != nil {
				return nil, err
			}
			config.Certificates = []tls.Certificate{pair}
		}
		secured := tls.Client(nc, config)
		if err := secured.Handshake(); err != nil { //nolint:noctx // has its own bound
			_ = nc.Close()
			return nil, err
		}
		nc = secured
	}
	conn := &clientConn{Conn: nc, in: bufio.NewReader(nc)}
	if s.TLS != nil && c.variant.HTTP2 {
		if conn.frames, err = newClient2(nc); err != nil {
			_ = nc.Close()
			return nil, err
		}
	}
	return conn, nil
}

// ask sends a request on a connection and reads the answer.
func (conn *clientConn) ask(s *Send) (*message, error) {
	if conn.frames != nil {
		return conn.frames.exchange(s)
	}
	if _, err := conn.Write(s.bytes()); err != nil {
		return nil, err
	}
	return readAnswer(conn.in, or(s.Method, "GET"))
}

// exchange sends a request and returns the answer, with its header lines as
// they came.
func (c *client) exchange(s *Send, n names) (result, []Field, error) {
	key := fmt.Sprint(s.TLS != nil, s.PlainTLS)
	conn := c.kept[key]
	delete(c.kept, key)
	if conn == nil || s.Conn != "keep" {
		var err error
		if conn, err = c.connect(s); err != nil {
			return nil, nil, err
		}
	}
	if s.Conn == "keep" {
		c.kept[key] = conn
	} else {
		defer func() { _ = conn.Close() }()
	}
	m, err := conn.ask(s)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	got := n.answer(m)
	if s.After != "" && m.status() == 101 {
		echo := make([]byte, len(unlatin(s.After)))
		_, _ = conn.Write(unlatin(s.After))
		read, _ := io.ReadFull(conn.in, echo)
		got["after"] = latin(echo[:read])
	}
	if s.TLS != nil && s.TLS.Certificate {
		if secured, ok := conn.Conn.(*tls.Conn); ok {
			got["certificate"] = map[string]any{"subject_cn": commonName(secured.ConnectionState().PeerCertificates)}
		}
	}
	return got, m.fields, nil
}

// bytes renders the request.
func (s *Send) bytes() []byte {
	if s.Raw != nil {
		return unlatin(*s.Raw)
	}
	body := []byte(strings.Repeat(s.Body, or(s.BodyTimes, 1)))
	var head strings.Builder
	_, _ = fmt.Fprintf(&head, "%s %s HTTP/%s\r\n", or(s.Method, "GET"), or(s.Target, "/"), or(s.Version, "1.1"))
	has := map[string]bool{}
	for _, f := range s.Headers {
		has[strings.ToLower(f[0])] = true
	}
	if !has["host"] {
		head.WriteString("Host: localhost\r\n")
	}
	for _, f := range s.Headers {
		_, _ = fmt.Fprintf(&head, "%s: %s\r\n", f[0], f[1])
	}
	if len(body) > 0 && !has["content-length"] && !has["transfer-encoding"] {
		_, _ = fmt.Fprintf(&head, "Content-Length: %d\r\n", len(body))
	}
	if s.Conn != "keep" && !has["connection"] {
		head.WriteString("Connection: close\r\n")
	}
	head.WriteString("\r\n")
	return append(unlatin(head.String()), body...)
}

func (c *client) close() {
	for _, conn := range c.kept {
		_ = conn.Close()
	}
}
