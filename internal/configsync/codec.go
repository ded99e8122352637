// SPDX-License-Identifier: Apache-2.0

package configsync

import (
	"encoding/json"
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func marshalEntity(e entity.Entity) ([]byte, error) { return canonicalJSON(e) }

// DecodeEntity decodes a record that is not a setting.
func DecodeEntity(r *Record) (entity.Entity, error) {
	e, err := unmarshalEntity(r.Key.Kind, r.JSON)
	if err != nil {
		return nil, err
	}
	if entity.KeyOf(e) != r.Key {
		return nil, fmt.Errorf("the record holds another id: %s", e.EntityID())
	}
	return e, nil
}

func unmarshalEntity(kind entity.Kind, data []byte) (entity.Entity, error) {
	var e entity.Entity
	switch kind {
	case entity.KindService:
		e = new(entity.Service)
	case entity.KindRoute:
		e = new(entity.Route)
	case entity.KindPlugin:
		e = new(entity.Plugin)
	case entity.KindConsumer:
		e = new(entity.Consumer)
	case entity.KindCredential:
		e = new(entity.Credential)
	case entity.KindUpstream:
		e = new(entity.Upstream)
	case entity.KindTarget:
		e = new(entity.Target)
	case entity.KindCertificate:
		e = new(entity.Certificate)
	case entity.KindSNI:
		e = new(entity.SNI)
	case entity.KindCACertificate:
		e = new(entity.CACertificate)
	case entity.KindConsumerGroup:
		e = new(entity.ConsumerGroup)
	case entity.KindVault:
		e = new(entity.Vault)
	default:
		return nil, fmt.Errorf("kind %q is not known", kind)
	}
	return e, json.Unmarshal(data, e)
}
