// SPDX-License-Identifier: Apache-2.0

package iprestriction

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/ip-restriction/schema"
)

func TestAdmits(t *testing.T) {
	for _, c := range []struct {
		name        string
		allow, deny []string
		ip          string
		want        bool
	}{
		{"allowed address", []string{"10.0.0.1"}, nil, "10.0.0.1", true},
		{"other address", []string{"10.0.0.1"}, nil, "10.0.0.2", false},
		{"first of a range", []string{"10.0.0.0/30"}, nil, "10.0.0.0", true},
		{"last of a range", []string{"10.0.0.0/30"}, nil, "10.0.0.3", true},
		{"behind a range", []string{"10.0.0.0/30"}, nil, "10.0.0.4", false},
		{"host bits in a range", []string{"10.1.2.3/8"}, nil, "10.9.9.9", true},
		{"denied", nil, []string{"10.0.0.0/8"}, "10.0.0.1", false},
		{"not denied", nil, []string{"10.0.0.0/8"}, "11.0.0.1", true},
		{"deny before allow", []string{"10.0.0.0/8"}, []string{"10.0.0.5"}, "10.0.0.5", false},
		{"v6", []string{"2001:db8::/32"}, nil, "2001:db8::1", true},
		{"v4 against v6", []string{"::/0"}, nil, "10.0.0.1", false},
		{"mapped v4 in the list", []string{"::ffff:10.0.0.1"}, nil, "10.0.0.1", true},
	} {
		allow, err := prefixes("allow", c.allow)
		if err != nil {
			t.Fatal(err)
		}
		deny, err := prefixes("deny", c.deny)
		if err != nil {
			t.Fatal(err)
		}
		r := &restriction{allow: allow, deny: deny}
		if got := r.admits(netip.MustParseAddr(c.ip)); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}

func TestPrefixesNamesTheField(t *testing.T) {
	_, err := prefixes("deny", []string{"10.0.0"})
	if want := `deny: "10.0.0" is neither an IP address nor a CIDR range`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestSessionsAreClosed(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: map[string]any{"deny": []any{"10.0.0.0/8"}}})
	for ip, want := range map[string]int{"10.0.0.1": 403, "::ffff:10.0.0.1": 403, "192.0.2.1": 0} {
		s := plugintest.NewSession(time.Now())
		s.ClientFacts.IP = netip.MustParseAddr(ip)
		if p.Preread(s); s.EndStatus != want {
			t.Errorf("%s: status %d, want %d", ip, s.EndStatus, want)
		}
	}
}
