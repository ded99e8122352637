// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
)

// ListenSpec is one entry of Kong's proxy_listen.
type ListenSpec struct {
	Address netip.AddrPort
	// TLS says that connections are terminated here.
	TLS bool
	// HTTP2 offers HTTP/2 to TLS clients.
	HTTP2 bool
	// Mesh marks a listener that only the sidecar reaches.
	Mesh bool
}

// ParseListen reads Kong's proxy_listen: a comma-separated list of
// "address:port flag…", or "off" for none. How nginx shares and queues its
// sockets (reuseport, backlog, so_keepalive) makes no difference here.
func ParseListen(v string) ([]ListenSpec, error) {
	parsed, err := listener.Parse(listener.HTTP, v)
	if err != nil {
		return nil, err
	}
	var specs []ListenSpec
	for _, p := range parsed {
		if p.ProxyProtocol {
			return nil, fmt.Errorf("proxy_listen %s: proxy_protocol is supported on stream_listen only; use real_ip_header X-Forwarded-For", p.Address)
		}
		specs = append(specs, ListenSpec{Address: p.Address, TLS: p.TLS, HTTP2: p.HTTP2, Mesh: p.Mesh})
	}
	return specs, nil
}

// listen opens the TCP listener of a spec.
func listen(ctx context.Context, address netip.AddrPort) (*net.TCPListener, error) {
	// Keep-alive probes are the clients' and the kernel's business: idle
	// connections are closed by our own timeout.
	config := net.ListenConfig{KeepAlive: -1}
	// Multipath sockets take no filters, which stopHandshakes needs.
	config.SetMultipathTCP(false)
	l, err := config.Listen(ctx, "tcp", address.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}
