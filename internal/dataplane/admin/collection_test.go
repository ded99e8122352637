// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestNamed(t *testing.T) {
	const id = "48ee727e-8b90-5faa-bda1-a3c6bc3c9daa"
	for _, c := range []struct {
		e    entity.Entity
		name string
		want bool
	}{
		{&entity.Service{ID: id, Name: "a"}, "a", true},
		{&entity.Service{ID: id, Name: "a"}, "b", false},
		{&entity.Service{ID: id, Name: "a"}, "48EE727E-8B90-5FAA-BDA1-A3C6BC3C9DAA", true},
		{&entity.Service{ID: id}, "", false},
		{&entity.Target{ID: id, Target: "a:80"}, "a:80", true},
		{&entity.Plugin{ID: id, Name: "cors", InstanceName: "a"}, "a", true},
		{&entity.Plugin{ID: id, Name: "cors", InstanceName: "a"}, "cors", false},
		{&entity.Plugin{ID: id, Name: "cors"}, "cors", false},
		{&entity.Consumer{ID: id, Username: "alice", CustomID: "17"}, "alice", true},
		{&entity.Consumer{ID: id, Username: "alice", CustomID: "17"}, "17", false},
		{&entity.Consumer{ID: id, CustomID: "17"}, "17", false},
		{&entity.Credential{ID: id, Type: "acls"}, "acls", false},
		{&entity.Credential{ID: id, Type: "keyauth_credentials", Fields: map[string]any{"key": "k"}}, "k", false},
		{&entity.Credential{ID: id, Type: "acls"}, id, true},
		{&entity.Vault{ID: id, Name: "env", Prefix: "mine"}, "mine", true},
		{&entity.Vault{ID: id, Name: "env", Prefix: "mine"}, "env", false},
		{&entity.Certificate{ID: id}, "", false},
	} {
		if got := named(c.e, c.name); got != c.want {
			t.Errorf("%+v by %q: %t", c.e, c.name, got)
		}
	}
}
