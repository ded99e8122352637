// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// Handshakes over loopback, both sides in this process: what is told apart are
// full and resumed ones, and the allocations of the two together.
func BenchmarkHandshake(b *testing.B) {
	r := startRig(b, "certificates:\n"+certificate(b, "a.test", "a.test"), rigOptions{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, resumed := range []bool{false, true} {
			name := tls.VersionName(version) + " full"
			config := &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", MaxVersion: version, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}} //nolint:gosec // its own certificate
			if resumed {
				name = tls.VersionName(version) + " resumed"
				session := &oneSession{}
				config.ClientSessionCache = session
				newSession(b, r.secure, config)
				session.fixed = true
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					nc, err := net.Dial("tcp", r.secure)
					if err != nil {
						b.Fatal(err)
					}
					c := tls.Client(nc, config)
					if err := c.Handshake(); err != nil || c.ConnectionState().DidResume != resumed {
						b.Fatalf("resumed is %t, %v", c.ConnectionState().DidResume, err)
					}
					// A reset: no port waits for late segments.
					_ = nc.(*net.TCPConn).SetLinger(0)
					_ = nc.Close()
				}
			})
		}
	}
}

// newSession makes a connection whose session is kept.
func newSession(b *testing.B, address string, config *tls.Config) {
	b.Helper()
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

// oneSession keeps one session, the first one once it is fixed.
type oneSession struct {
	session *tls.ClientSessionState
	fixed   bool
}

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) { return s.session, s.session != nil }

func (s *oneSession) Put(_ string, session *tls.ClientSessionState) {
	if !s.fixed && session != nil {
		s.session = session
	}
}
