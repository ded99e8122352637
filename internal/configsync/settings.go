// SPDX-License-Identifier: Apache-2.0

package configsync

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// The kinds of records that are settings of the gateway rather than entities.
const (
	KindDialPolicy entity.Kind = "settings.dial"  // one record
	KindScope      entity.Kind = "settings.scope" // one record per upstream address
)

// only is the id of the settings that a gateway has one of.
const only entity.ID = "gateway"

// DialPolicy says which addresses the proxy refuses to connect to. Without one
// (a proxy with a declarative file) nothing is refused.
type DialPolicy struct {
	// RefuseLocal refuses loopback, link-local and unspecified addresses and
	// the pod's own ones, the sidecar's ports included. Which addresses the pod
	// has only the proxy knows.
	RefuseLocal bool `json:"refuse_local,omitempty"`
}

// ScopeEntry says how one upstream address is covered by the egress scope.
type ScopeEntry struct {
	// EgressHash changes when the egress entry that covers the address does:
	// connections that are older are then retired once idle.
	EgressHash string `json:"egress_hash"`
	// Held keeps what is new behind this address from being served, because
	// the scope it needs is not written (the gateway is paused).
	Held bool `json:"held,omitempty"`
}

// NewDialPolicyRecord returns the record of a gateway's dial policy.
func NewDialPolicyRecord(p DialPolicy) (*Record, error) {
	return settingRecord(KindDialPolicy, only, p)
}

// NewScopeRecord returns the record of one upstream address.
func NewScopeRecord(addr netip.AddrPort, e ScopeEntry) (*Record, error) {
	return settingRecord(KindScope, ScopeKey(addr).ID, e)
}

// ScopeKey returns the key of an upstream address's record.
func ScopeKey(addr netip.AddrPort) entity.Key {
	return entity.Key{Kind: KindScope, ID: entity.ID(addr.String())}
}

// DialPolicyKey is the key of the one record of its kind.
var DialPolicyKey = entity.Key{Kind: KindDialPolicy, ID: only}

func settingRecord(kind entity.Kind, id entity.ID, v any) (*Record, error) {
	data, err := schema.EncodeJSON(v)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, id, err)
	}
	return RawRecord(entity.Key{Kind: kind, ID: id}, "", data), nil
}

// IsSetting reports whether a kind is one of the settings.
func IsSetting(k entity.Kind) bool {
	return k == KindDialPolicy || k == KindScope
}

// DecodeSetting decodes a record of one of the setting kinds into *DialPolicy
// or *ScopeEntry. Members that are not known are ignored.
func DecodeSetting(r *Record) (any, error) {
	var v any
	switch r.Key.Kind {
	case KindDialPolicy:
		v = new(DialPolicy)
	case KindScope:
		if _, err := netip.ParseAddrPort(string(r.Key.ID)); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Key.Kind, err)
		}
		v = new(ScopeEntry)
	default:
		return nil, fmt.Errorf("kind %s is not a setting", r.Key.Kind)
	}
	if err := json.Unmarshal(r.JSON, v); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Key.Kind, r.Key.ID, err)
	}
	return v, nil
}
