// SPDX-License-Identifier: Apache-2.0

package acl

import (
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/acl/schema"
)

func TestAccess(t *testing.T) {
	group := func(consumer entity.ID, name string) *entity.Credential {
		return &entity.Credential{Type: collection, Consumer: &entity.Ref{ID: consumer}, Fields: map[string]any{"group": name}}
	}
	people := &plugintest.Directory{Secrets: []*entity.Credential{group("gold", "gold"), group("both", "gold"), group("both", "silver"), group("silver", "silver")}}
	who := func(id entity.ID) plugin.Identity {
		return plugin.Identity{Consumer: &entity.Consumer{ID: id}, Credential: &entity.Credential{ID: "k"}}
	}
	anonymous := func(id entity.ID) plugin.Identity {
		return plugin.Identity{Consumer: &entity.Consumer{ID: id}, Anonymous: true}
	}
	allow, deny := map[string]any{"allow": []any{"gold"}}, map[string]any{"deny": []any{"gold"}}
	for _, c := range []struct {
		name   string
		config map[string]any
		who    plugin.Identity
		status int
		groups string
	}{
		{"nobody", deny, plugin.Identity{}, 401, "forged"},
		{"credential of no consumer", allow, plugin.Identity{CredentialID: "ldap"}, 403, "forged"},
		{"member", allow, who("gold"), 0, "gold"},
		{"member of two", allow, who("both"), 0, "gold, silver"},
		{"other group", allow, who("silver"), 403, "forged"},
		{"no group", allow, who("none"), 403, "forged"},
		{"denied", deny, who("both"), 403, "forged"},
		{"not denied", deny, who("silver"), 0, "silver"},
		{"no group, deny list", deny, who("none"), 0, ""},
		{"anonymous without groups", allow, anonymous("none"), 401, "forged"},
		{"anonymous with another group", allow, anonymous("silver"), 403, "forged"},
		{"anonymous, deny list", deny, anonymous("none"), 0, ""},
		{"hidden", map[string]any{"allow": []any{"gold"}, "hide_groups_header": true}, who("gold"), 0, "absent"},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		x := plugintest.New(time.Now(), "GET", "/", "X-Consumer-Groups", "forged")
		x.People, x.Who = people, c.who
		p.Access(x)
		status, groups := 0, "absent"
		if x.Reply != nil {
			status = x.Reply.Status
		}
		if x.RequestHeader.Has("X-Consumer-Groups") {
			groups = x.RequestHeader.Get("X-Consumer-Groups")
		}
		if status != c.status || groups != c.groups {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, groups, c.status, c.groups)
		}
	}
}
