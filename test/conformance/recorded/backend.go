// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// call is a request that a backend or a sink received.
type call struct {
	backend string
	at      time.Time
	message *message
	// facts are the server name and the client's certificate, where noted.
	facts map[string]string
}

// backend is a running upstream.
type backend struct {
	name string
	spec *BackendSpec
	port int

	listener net.Listener
	stop     func()
	secure   *tls.Config

	mu    sync.Mutex
	seen  []call
	count int
	open  []net.Conn
}

// startBackend runs an upstream until close.
func startBackend(name string, spec *BackendSpec) (*backend, error) {
	b := &backend{name: name, spec: spec}
	if spec.Fail == "hang" {
		var err error
		b.port, b.stop, err = startHanging()
		return b, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with close
	if err != nil {
		return nil, err
	}
	b.port = l.Addr().(*net.TCPAddr).Port
	if spec.Fail == "refuse" {
		return b, l.Close()
	}
	b.listener = l
	if spec.TLS != nil {
		if b.secure, err = serverTLS(spec); err != nil {
			return nil, err
		}
	}
	go b.accept()
	return b, nil
}

func serverTLS(spec *BackendSpec) (*tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(spec.TLS.Cert), []byte(spec.TLS.Key))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if spec.TLS.CA != "" {
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM([]byte(spec.TLS.CA))
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}

func (b *backend) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.open = append(b.open, c)
		b.mu.Unlock()
		if b.spec.Fail != "noread" {
			go b.serve(c)
		}
	}
}

func (b *backend) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	var facts map[string]string
	conn := c
	if b.secure != nil {
		secured := tls.Server(c, b.secure)
		if secured.Handshake() != nil { //nolint:noctx // ends with close
			return
		}
		conn = secured
		if b.spec.TLS.Record {
			state := secured.ConnectionState()
			facts = map[string]string{"sni": state.ServerName, "client_cn": commonName(state.PeerCertificates)}
		}
	}
	in := bufio.NewReader(conn)
	for {
		m, err := readMessage(in, "")
		if err != nil || m == nil || !b.answer(conn, in, m, facts) {
			return
		}
	}
}

func commonName(chain []*x509.Certificate) string {
	if len(chain) == 0 {
		return ""
	}
	return chain[0].Subject.CommonName
}

// next notes a request and returns what to answer.
func (b *backend) next(m *message, facts map[string]string) *AnswerSpec {
	path, _, _ := strings.Cut(m.line(1), "?")
	if aside := b.spec.Aside[path]; aside != nil {
		return aside
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, call{b.name, time.Now(), m, facts})
	b.count++
	if n := len(b.spec.Script); n > 0 {
		return &b.spec.Script[min(b.count, n)-1]
	}
	return &b.spec.AnswerSpec
}

// answer answers one request; false ends the connection.
func (b *backend) answer(c net.Conn, in *bufio.Reader, m *message, facts map[string]string) bool {
	a := b.next(m, facts)
	if a.DelayMS > 0 {
		<-time.After(slowdown * time.Duration(a.DelayMS) * time.Millisecond)
	}
	switch {
	case a.Fail == "close":
		return false
	case a.Fail == "reset":
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		return false
	case a.Raw != nil:
		_, _ = c.Write(unlatin(*a.Raw))
		if a.Echo {
			_, _ = io.Copy(c, in)
			return false
		}
		return !a.Close
	}
	body := strings.Repeat(or(a.Body, b.name), or(a.BodyTimes, 1))
	status := or(a.Status, 200)
	var head strings.Builder
	_, _ = fmt.Fprintf(&head, "HTTP/1.1 %d X\r\n", status)
	framed := false
	for _, f := range a.Headers {
		_, _ = fmt.Fprintf(&head, "%s: %s\r\n", f[0], f[1])
		framed = framed || strings.EqualFold(f[0], "content-length") || strings.EqualFold(f[0], "transfer-encoding")
	}
	bodiless := status == 204 || status == 304
	out := unlatin(body)
	if !framed && !bodiless {
		_, _ = fmt.Fprintf(&head, "Content-Length: %d\r\n", len(out))
	}
	head.WriteString("\r\n")
	if m.line(0) == "HEAD" || bodiless {
		out = nil
	}
	_, err := c.Write(append(unlatin(head.String()), out...))
	return err == nil && !a.Close
}

// calls returns what was received so far.
func (b *backend) calls() []call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

func (b *backend) close() {
	if b.stop != nil {
		b.stop()
	}
	if b.listener != nil {
		_ = b.listener.Close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.open {
		_ = c.Close()
	}
}
