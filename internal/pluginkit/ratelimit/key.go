// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Key says what is counted: requests of an identity in a scope.
type Key struct {
	// Scope is made by ScopeOf.
	Scope string
	// Name is the limit's name where a plugin has several, else "".
	Name string
	// ID is the identity unless it is an address. It may be a view.
	ID string
	// Addr is the identity where it is an address.
	Addr netip.Addr
}

const noID = "00000000-0000-0000-0000-000000000000"

// ScopeOf returns the scope of a plugin's counters: its own route and service.
// Instances without either share one scope, as in Kong.
func ScopeOf(p *entity.Plugin) string {
	id := func(r *entity.Ref) string {
		if r == nil {
			return noID
		}
		return string(r.ID)
	}
	return id(p.Route) + ":" + id(p.Service)
}

// Address returns k with the client's address as its identity: the fallback
// of every way to tell clients apart.
func (k Key) Address(x plugin.Exchange) Key {
	k.ID, k.Addr = "", x.Client().IP.Unmap()
	return k
}

// Consumer returns k with the consumer as its identity, else the credential,
// else the address.
func (k Key) Consumer(x plugin.Exchange) Key {
	if id := x.Identity(); id.Consumer != nil {
		k.ID = string(id.Consumer.ID)
		return k
	}
	return k.Credential(x)
}

// Credential returns k with the credential as its identity, else the address.
func (k Key) Credential(x plugin.Exchange) Key {
	id := x.Identity()
	switch {
	case id.Credential != nil:
		k.ID = string(id.Credential.ID)
	case id.CredentialID != "":
		k.ID = id.CredentialID
	default:
		return k.Address(x)
	}
	return k
}

// redis returns the key of a window in Redis, which is the one that Kong uses,
// so that both may count together.
func (k *Key) redis(p Period, start int64) string {
	id := k.ID
	if k.Addr.IsValid() {
		id = k.Addr.String()
	}
	var b strings.Builder
	b.Grow(len("ratelimit:::000::") + len(k.Scope) + len(id) + len(k.Name) + 20)
	b.WriteString("ratelimit:")
	b.WriteString(k.Scope)
	b.WriteByte(':')
	b.WriteString(id)
	b.WriteByte(':')
	b.WriteString(strconv.FormatInt(start*1000, 10))
	b.WriteByte(':')
	if k.Name != "" {
		b.WriteString(k.Name)
		b.WriteByte(':')
	}
	b.WriteString(p.String())
	return b.String()
}
