// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// serverTLS is the TLS of all listeners: they share policy, certificates and
// session tickets.
type serverTLS struct {
	// configs are by ALPN (with HTTP/2 or not) and by whether the client is
	// asked for a certificate.
	configs map[serverTLSKind]*tls.Config
	gate    tlscert.Gate
}

type serverTLSKind struct{ http2, asks bool }

// setUpTLS reads the settings of TLS and names those that have no effect.
func (e *Engine) setUpTLS() error {
	settings := &e.settings.TLS
	defaults, err := tlscert.LoadKeyPairs("", settings.Cert, settings.CertKey)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if e.certs, err = tlscert.NewStore(defaults); err != nil {
		return err
	}
	if e.upstreamTLS, err = newUpstreamTLS(settings); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	var warnings []string
	if e.serverTLS, warnings, err = e.newServerTLS(); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	for _, w := range warnings {
		e.log.Warn("a TLS setting is not followed", "setting", w)
	}
	return nil
}

// newServerTLS returns the TLS of listeners. The warnings name the settings
// that have no effect, or less than asked.
func (e *Engine) newServerTLS() (s *serverTLS, warnings []string, err error) {
	settings := &e.settings.TLS
	base := &tls.Config{GetCertificate: e.certificateFor}
	if warnings, err = settings.Policy.Apply(base); err != nil {
		return nil, nil, err
	}
	tickets, err := tlscert.NewTickets(settings.SessionTimeout, time.Now)
	if err != nil {
		return nil, nil, err
	}
	s = &serverTLS{configs: map[serverTLSKind]*tls.Config{}, gate: tlscert.NewGate()}
	for _, kind := range []serverTLSKind{{}, {asks: true}, {http2: true}, {http2: true, asks: true}} {
		config := base.Clone()
		config.NextProtos = []string{"http/1.1"}
		if kind.http2 {
			config.NextProtos = []string{"h2", "http/1.1"}
		}
		if kind.asks {
			// Which certificates are good is for plugins to say.
			config.ClientAuth = tls.RequestClientCert
		} else {
			config.GetConfigForClient = s.configFor
		}
		if config.SessionTicketsDisabled = !settings.SessionTickets; settings.SessionTickets {
			tickets.Use(config, kind.asks)
		}
		s.configs[kind] = config
	}
	return s, append(warnings, settings.unheeded...), nil
}

// handshake is a client's socket as crypto/tls sees it, with what a handshake
// needs of its connection.
type handshake struct {
	*tlscert.Gated
	conn     *conn
	snapshot *snapshot // nil once the handshake is over
	deadline time.Time
	// chosen is the certificate that a plugin chose.
	chosen *tls.Certificate
}

// secure does the TLS handshake, or finds out that the client speaks plain
// HTTP. It has one deadline: bytes that trickle in do not extend it.
func (c *conn) secure() bool {
	c.beginIdle()
	first, ok := c.peekFirst()
	c.endIdle(ok)
	if !ok {
		return false
	}
	deadline := time.Now().Add(c.engine.settings.ClientHeaderTimeout)
	c.readDeadline, c.writeDeadline = deadline, deadline
	_ = c.socket.SetDeadline(deadline)
	if first >= 'A' && first <= 'Z' {
		c.plain = true
		return true
	}
	// The socket has a deadline, and is closed when the engine ends: there is
	// no context to watch.
	gated, ok := c.engine.serverTLS.gate.Begin(c.engine.context, c.socket, deadline)
	if !ok {
		return false
	}
	defer gated.Done() // whatever happens
	h := &handshake{Gated: gated, conn: c, deadline: deadline, snapshot: c.hold()}
	secured := tls.Server(h, c.engine.serverTLS.configs[serverTLSKind{http2: c.spec.HTTP2}])
	c.beginHead(time.Now())
	err := secured.HandshakeContext(context.Background())
	c.endHead(err == nil)
	gated.Done()
	c.let(h.snapshot)
	h.snapshot, h.chosen = nil, nil
	if err != nil {
		c.engine.log.Debug("TLS handshake failed", "peer", c.peer, "error", err)
		return false
	}
	c.nc = secured
	c.readDeadline, c.writeDeadline = time.Time{}, time.Time{}
	state := secured.ConnectionState()
	c.tls, c.sni = &state, strings.ToLower(strings.TrimSuffix(state.ServerName, "."))
	return true
}

// Handshakes is the gate of all handshakes, for those of the stream half.
func (e *Engine) Handshakes() tlscert.Gate { return e.serverTLS.gate }

func handshakeOf(socket net.Conn) *handshake {
	h, _ := socket.(*handshake)
	return h
}

// configFor is called with each client's hello.
func (s *serverTLS) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	h := handshakeOf(hello.Conn)
	if h == nil {
		return nil, nil
	}
	asks := h.snapshot.asks.of(hello.ServerName)
	if h.snapshot.asks.phases > 0 {
		asked, err := h.certificatePhase(hello)
		if err != nil {
			return nil, err
		}
		asks = asks || asked
	}
	if !asks {
		return nil, nil
	}
	return s.configs[serverTLSKind{http2: h.conn.spec.HTTP2, asks: true}], nil
}

// certificatePhase runs the certificate phases of plugins, which may wait for
// the network.
func (h *handshake) certificatePhase(hello *tls.ClientHelloInfo) (asked bool, err error) {
	h.Leave()
	ctx, cancel := context.WithDeadline(h.conn.engine.context, h.deadline)
	defer cancel()
	h.chosen, err = h.snapshot.plans.Unrouted().Certificate(plugin.WithHandshake(ctx, &asked), hello)
	if !h.Enter() && err == nil {
		err = context.DeadlineExceeded
	}
	return asked, err
}

// certificateFor chooses the certificate: a plugin's, or that of the server
// name in the configuration that runs since the handshake began.
func (e *Engine) certificateFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	h := handshakeOf(hello.Conn)
	switch {
	case h == nil:
		return e.certs.GetCertificate(hello)
	case h.chosen != nil:
		return h.chosen, nil
	}
	return e.certs.Of(h.snapshot.certs, hello)
}
