// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"io"
	"net/netip"
	"sync"

	"github.com/kong/kong-istio-gateway/internal/dataplane/proxyproto"
)

// proxyHeaders are where PROXY headers are read into.
var proxyHeaders = sync.Pool{New: func() any { return new([proxyproto.MaxSize]byte) }}

// introduced reads the PROXY header with which the connection begins, and
// nothing behind it. It returns false when there is none: the connection is over
// then, since nobody can say where the client's bytes would begin. The header has
// client_header_timeout, and until it is there the connection may be ended for
// another one.
func (c *conn) introduced() bool {
	c.beginIdle()
	_, ok := c.peekFirst()
	var header proxyproto.Header
	var err error
	if ok {
		header, err = c.readProxyHeader()
	}
	ok = ok && err == nil
	c.endIdle(ok)
	if err != nil {
		c.engine.log.Debug("no PROXY header", "peer", c.peer, "listener", c.spec.Address, "error", err)
	}
	if ok {
		c.speaksFor(header.Source)
	}
	return ok
}

// readProxyHeader reads a PROXY header of which something has come.
func (c *conn) readProxyHeader() (header proxyproto.Header, err error) {
	buf := proxyHeaders.Get().(*[proxyproto.MaxSize]byte)
	defer proxyHeaders.Put(buf)
	for n := 0; ; {
		// What comes is looked at before it is taken: it may go beyond the header.
		m, err := c.peekInto(buf[n:])
		if err != nil {
			return header, err
		}
		header, err = proxyproto.Parse(buf[:n+m])
		switch {
		case err == nil:
			_, err = io.ReadFull(c.socket, buf[n:header.Size])
			return header, err
		case !errors.Is(err, proxyproto.ErrMore):
			return header, err
		}
		if _, err = io.ReadFull(c.socket, buf[n:n+m]); err != nil {
			return header, err
		}
		n += m
	}
}

// speaksFor notes whom the connection's peer speaks for. What only sidecars may
// say is believed if that is a trusted one as well: a load balancer that speaks
// the PROXY protocol hands on its clients' headers as they are.
func (c *conn) speaksFor(client netip.AddrPort) {
	if !client.IsValid() {
		return // the peer itself, or not of IP
	}
	c.proxied = client
	if !c.engine.settings.trusted(client.Addr()) {
		c.limits = &c.engine.limits
	}
}
