// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"testing"
)

func TestToldBySidecar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec        ListenSpec
		peer, local string
		want        bool
	}{
		{ListenSpec{Mesh: true}, "127.0.0.6", "10.1.0.2", true},
		{ListenSpec{Mesh: true}, "::6", "fd00::2", true},
		{ListenSpec{Mesh: true}, "10.1.0.2", "10.1.0.2", true},
		{ListenSpec{Mesh: true}, "10.1.0.3", "10.1.0.2", false}, // past the sidecar
		{ListenSpec{Mesh: true}, "fd00::6", "fd00::2", false},
		{ListenSpec{Mesh: true, TLS: true}, "127.0.0.6", "10.1.0.2", false}, // which sees no requests
		{ListenSpec{Mesh: true, ProxyProtocol: true}, "127.0.0.6", "10.1.0.2", false},
		{ListenSpec{}, "127.0.0.6", "10.1.0.2", false},
	} {
		if got := toldBySidecar(&c.spec, netip.MustParseAddr(c.peer), netip.MustParseAddr(c.local)); got != c.want {
			t.Errorf("%+v, %s to %s: %t", c.spec, c.peer, c.local, got)
		}
	}
}
