// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// trusted reports whether the peer is one of trusted_ips.
func (s *Settings) trusted(peer netip.Addr) bool {
	peer = peer.Unmap()
	for _, p := range s.TrustedIPs {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// inboundIPv6 is the address from which Istio's sidecar speaks to its pod over
// IPv6. That of IPv4 is 127.0.0.6, a loopback address.
var inboundIPv6 = netip.MustParseAddr("::6")

// toldBySidecar reports whether a connection is one on which the pod's sidecar
// tells who the client is, by x-forwarded-client-cert: it replaces what the client
// says itself if that has proven who it is, and removes it otherwise. It cannot
// do so where the client speaks TLS to us within its mTLS, nor where the
// connection came past it.
func toldBySidecar(spec *ListenSpec, peer, local netip.Addr) bool {
	return spec.Mesh && !spec.TLS && !spec.ProxyProtocol && (peer.IsLoopback() || peer == inboundIPv6 || peer == local)
}

// RealIPProxyProtocol is the value of real_ip_header that takes the client's
// address from the PROXY protocol.
const RealIPProxyProtocol = "proxy_protocol"

// resolveClient fills in who the client is and what it addressed, from the
// connection and, when its peer is trusted, from the PROXY protocol or forwarded
// headers.
func (s *Settings) resolveClient(c *plugin.Client, proxied netip.AddrPort, header *http1.Header, scheme, host string) {
	c.IP, c.Port = c.Peer.Addr().Unmap(), c.Peer.Port()
	c.ForwardedScheme, c.ForwardedHost = scheme, host
	c.ForwardedPort = s.visiblePort(c.Local.Port())
	if !c.Trusted {
		return
	}
	if s.RealIPHeader == RealIPProxyProtocol {
		if proxied.IsValid() {
			c.IP, c.Port = proxied.Addr(), proxied.Port()
		}
	} else if ip, port, ok := s.realIP(header); ok {
		c.IP, c.Port = ip, port
	}
	if v, ok := header.GetID(http1.HeaderXForwardedProto); ok {
		c.ForwardedScheme = view(v)
	}
	if v, ok := header.GetID(http1.HeaderXForwardedHost); ok {
		c.ForwardedHost = view(v)
	}
	if v, ok := header.GetID(http1.HeaderXForwardedPort); ok {
		if n, err := strconv.ParseUint(view(v), 10, 16); err == nil {
			c.ForwardedPort = uint16(n)
		}
	}
}

func (s *Settings) visiblePort(local uint16) uint16 {
	if outer, ok := s.PortMaps[local]; ok {
		return outer
	}
	return local
}

// realIP reads the client's address from real_ip_header, as nginx's realip
// module does: the last address, or with real_ip_recursive the last one that
// is not trusted.
func (s *Settings) realIP(header *http1.Header) (ip netip.Addr, port uint16, ok bool) {
	var values [8][]byte
	lines := header.AppendValues(values[:0], s.RealIPHeader)
	for i := len(lines) - 1; i >= 0; i-- {
		line := view(lines[i])
		for line != "" {
			var part string
			if at := strings.LastIndexByte(line, ','); at >= 0 {
				line, part = line[:at], line[at+1:]
			} else {
				line, part = "", line
			}
			addr, addrPort, valid := parseAddress(strings.TrimSpace(part))
			if !valid {
				return ip, port, ok
			}
			ip, port, ok = addr, addrPort, true
			if !s.RealIPRecursive || !s.trusted(addr) {
				return ip, port, ok
			}
		}
	}
	return ip, port, ok
}

// parseAddress reads an address with an optional port.
func parseAddress(s string) (netip.Addr, uint16, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap(), 0, true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), ap.Port(), true
	}
	return netip.Addr{}, 0, false
}
