// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/clienthello"
	"github.com/kong/kong-istio-gateway/internal/dataplane/proxyproto"
)

// prereadError wraps what a client did wrong before its route was known.
type prereadError struct{ error }

func (e prereadError) Unwrap() error { return e.error }

// firstBuffer is what is set aside for a ClientHello at first: few need more.
const firstBuffer = 4 << 10

var firstBuffers = sync.Pool{New: func() any { return new([firstBuffer]byte) }}

// preread reads what a session must say before its route is known: a PROXY
// header, and on TLS listeners the ClientHello. What was read beyond the header
// stays in c.ahead. Until a TLS handshake is over, the session is one that has
// yet to say what it wants.
func (c *conn) preread() (header proxyproto.Header, err error) {
	if !c.spec.ProxyProtocol && !c.spec.TLS {
		return header, nil
	}
	if oldest := c.server.conns.open(c); oldest != nil {
		c.server.stats.refused[TCP].Add(1)
		oldest.abort()
	}
	c.first = firstBuffers.Get().(*[firstBuffer]byte)
	c.ahead = c.first[:0]
	if c.spec.ProxyProtocol {
		err = c.readAhead(c.server.settings.ProxyProtocolTimeout, func() (err error) {
			header, err = proxyproto.Parse(c.ahead)
			return err
		})
		if err != nil {
			return header, err
		}
		c.ahead = c.ahead[header.Size:]
	}
	if c.spec.TLS {
		err = c.readAhead(c.server.settings.PrereadTimeout, func() (err error) {
			c.x.ServerName, err = clienthello.ServerName(c.ahead)
			return err
		})
	}
	return header, err
}

// readAhead reads until parse has what it needs.
func (c *conn) readAhead(timeout time.Duration, parse func() error) error {
	_ = c.socket.SetReadDeadline(time.Now().Add(timeout))
	for {
		err := parse()
		if err == nil {
			return nil
		}
		if !errors.Is(err, proxyproto.ErrMore) && !errors.Is(err, clienthello.ErrMore) {
			return prereadError{err}
		}
		if err := c.readMore(); err != nil {
			return err
		}
	}
}

// readMore reads once, into a larger buffer if that is needed and allowed.
func (c *conn) readMore() error {
	if len(c.ahead) == cap(c.ahead) {
		if len(c.ahead) >= c.server.settings.PrereadBufferSize {
			return prereadError{fmt.Errorf("more than preread_buffer_size (%d bytes) came before the route was known", c.server.settings.PrereadBufferSize)}
		}
		larger := make([]byte, len(c.ahead), c.server.settings.PrereadBufferSize)
		copy(larger, c.ahead)
		c.ahead = larger
	}
	room := min(cap(c.ahead), c.server.settings.PrereadBufferSize)
	if room <= len(c.ahead) {
		return prereadError{fmt.Errorf("more than preread_buffer_size (%d bytes) came before the route was known", c.server.settings.PrereadBufferSize)}
	}
	n, err := c.socket.Read(c.ahead[len(c.ahead):room])
	c.ahead = c.ahead[:len(c.ahead)+n]
	c.x.FromClient += int64(n)
	if n > 0 {
		return nil
	}
	return prereadError{err}
}

// releaseAhead gives the buffer back once what was read ahead is used up.
func (c *conn) releaseAhead() {
	c.ahead = nil
	if c.first != nil {
		firstBuffers.Put(c.first)
		c.first = nil
	}
}

// identify fills in who the client is: the peer, or whom a trusted one speaks
// for.
func (c *conn) identify(header proxyproto.Header) {
	f := &c.x.ClientFacts
	f.Trusted = c.server.settings.trusted(f.Peer.Addr())
	f.IP, f.Port = f.Peer.Addr(), f.Peer.Port()
	if f.Trusted && header.Source.IsValid() {
		f.IP, f.Port = header.Source.Addr(), header.Source.Port()
	}
	f.ForwardedHost = c.x.ServerName
	f.ForwardedPort = c.server.settings.visiblePort(f.Local.Port())
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
