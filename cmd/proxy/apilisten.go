// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/admin"
)

// parseStatusListen reads Kong's status_listen: addresses separated by commas,
// or off.
func parseStatusListen(text string) ([]string, error) {
	return parseAPIListen("status_listen", text, defaultStatusListen, func(address string) error {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("%q is not an address with a port, as %s", address, defaultStatusListen)
		}
		return nil
	})
}

// parseAdminListen reads Kong's admin_listen: addresses on loopback, separated
// by commas, or off.
func parseAdminListen(text string) ([]string, error) {
	return parseAPIListen("admin_listen", text, "127.0.0.1:8001", admin.CheckListen)
}

// parseAPIListen reads where an API listens. Options that concern sockets alone
// are allowed and have no effect.
func parseAPIListen(setting, text, example string, check func(address string) error) (addresses []string, err error) {
	if strings.TrimSpace(text) == "off" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			return nil, fmt.Errorf("%s: %q has an empty part; give %s, or off", setting, text, example)
		}
		if err := check(words[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		for _, option := range words[1:] {
			if option != "reuseport" && option != "deferred" && !strings.HasPrefix(option, "backlog=") {
				return nil, fmt.Errorf("%s: %s has the option %q; here it is plain HTTP/1.1, remove the option", setting, words[0], option)
			}
		}
		addresses = append(addresses, words[0])
	}
	return addresses, nil
}

// serveOn serves on each address until what serves is closed. What ends a
// listener goes to failed.
func serveOn(ctx context.Context, setting string, addresses []string, serve func(net.Listener) error, failed chan<- error) error {
	for _, address := range addresses {
		var config net.ListenConfig
		l, err := config.Listen(ctx, networkOf(address, len(addresses) > 1), address)
		if err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
		go func() { failed <- serve(l) }()
	}
	return nil
}

// networkOf returns the network to listen on. One wildcard address stands for
// both families; beside others it must leave the other family alone.
func networkOf(address string, several bool) string {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	switch {
	case !several || err != nil:
		return "tcp"
	case ip.Is4():
		return "tcp4"
	}
	return "tcp6"
}
