// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"net"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// FuzzParseTarget: what is accepted can be dialled, and reads back the same.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"a:1", "a", "10.0.0.1", "[::1]:2", "::1", ":", "a:b", "[a", "fe80::1%lo"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTarget(&entity.Target{Target: s})
		if err != nil {
			return
		}
		if _, _, err := net.SplitHostPort(got.String()); err != nil || got.port == 0 || got.host == "" {
			t.Fatalf("%q: %q %v", s, got, err)
		}
		again, err := parseTarget(&entity.Target{Target: got.String()})
		if err != nil || again != got {
			t.Errorf("%q: %v, then %v %v", s, got, again, err)
		}
	})
}
