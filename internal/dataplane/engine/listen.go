// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
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
// "address:port flag…", or "off" for none.
func ParseListen(v string) ([]ListenSpec, error) {
	v = strings.TrimSpace(v)
	if v == "" || v == "off" {
		return nil, nil
	}
	var specs []ListenSpec
	for entry := range strings.SplitSeq(v, ",") {
		fields := strings.Fields(entry)
		if len(fields) == 0 {
			return nil, fmt.Errorf("proxy_listen %q: empty entry between commas", v)
		}
		spec, err := parseListenEntry(fields)
		if err != nil {
			return nil, fmt.Errorf("proxy_listen %q: %w", strings.TrimSpace(entry), err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

func parseListenEntry(fields []string) (ListenSpec, error) {
	address, err := netip.ParseAddrPort(strings.Replace(fields[0], "*", "0.0.0.0", 1))
	if err != nil {
		return ListenSpec{}, fmt.Errorf("address must be IP:PORT: %w", err)
	}
	spec := ListenSpec{Address: address}
	for _, flag := range fields[1:] {
		switch {
		case flag == "ssl":
			spec.TLS = true
		case flag == "mesh":
			spec.Mesh = true
		case flag == "http2":
			spec.HTTP2 = true
		case flag == "reuseport", flag == "deferred", strings.HasPrefix(flag, "backlog="), strings.HasPrefix(flag, "so_keepalive="):
			// How nginx shares and queues its sockets, which Go's netpoller needs
			// no word about; http2 is offered through ALPN where it is built in.
		default:
			return ListenSpec{}, fmt.Errorf("flag %q is not supported; use ssl, http2, reuseport, deferred or backlog=N", flag)
		}
	}
	return spec, nil
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
