// SPDX-License-Identifier: Apache-2.0

package meshscope

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
)

// maxListenerText bounds what is read of the sidecar's answer.
const maxListenerText = 16 << 20

// EnvoyListeners asks a sidecar's admin interface for its listeners. Istio
// names a listener of an egress port after its address: "10.96.0.5_80".
func EnvoyListeners(client *http.Client, admin string) func(context.Context) (map[netip.AddrPort]bool, error) {
	return func(ctx context.Context) (map[netip.AddrPort]bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/listeners", nil)
		if err != nil {
			return nil, err
		}
		answer, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("sidecar admin %s: status %d", admin, answer.StatusCode)
		}
		return parseListeners(io.LimitReader(answer.Body, maxListenerText))
	}
}

// parseListeners reads lines of "name::address".
func parseListeners(r io.Reader) (map[netip.AddrPort]bool, error) {
	out := map[netip.AddrPort]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), "::")
		host, port, ok := cutLast(name, "_")
		if !ok {
			continue
		}
		if a, err := netip.ParseAddrPort(join(host, port)); err == nil {
			out[a] = true
		}
	}
	return out, lines.Err()
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func join(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}
