// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"fmt"
	"maps"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// New returns an empty entity of a kind, nil when the kind is not known.
func New(kind Kind) Entity {
	switch kind {
	case KindService:
		return new(Service)
	case KindRoute:
		return new(Route)
	case KindUpstream:
		return new(Upstream)
	case KindTarget:
		return new(Target)
	case KindPlugin:
		return new(Plugin)
	case KindConsumer:
		return new(Consumer)
	case KindConsumerGroup:
		return new(ConsumerGroup)
	case KindCredential:
		return new(Credential)
	case KindCertificate:
		return new(Certificate)
	case KindSNI:
		return new(SNI)
	case KindCACertificate:
		return new(CACertificate)
	case KindVault:
		return new(Vault)
	}
	return nil
}

// toMap returns the fields of an entity as the schemas see them. Those of a
// credential lie beside the fields that all entities have.
func toMap(e Entity) map[string]any {
	m := make(map[string]any)
	fillMap(m, e)
	return m
}

// fillMap is toMap into an empty map.
func fillMap(m map[string]any, e Entity) {
	switch e := e.(type) {
	case *Credential:
		plain := *e
		plain.Type, plain.Fields = "", nil
		schema.EncodeInto(m, &plain)
		fields, _ := schema.Canonical(e.Fields).(map[string]any)
		maps.Copy(m, fields)
	case *Plugin:
		plain := *e
		plain.Config = nil
		schema.EncodeInto(m, &plain)
		if len(e.Config) > 0 {
			m["config"] = schema.Canonical(e.Config)
		}
	default:
		schema.EncodeInto(m, e)
	}
}

// fromMap is the inverse of toMap. typ is the collection of a credential.
func fromMap(kind Kind, typ string, m map[string]any) (Entity, error) {
	e := New(kind)
	if e == nil {
		return nil, fmt.Errorf("unknown kind %q", kind)
	}
	if c, ok := e.(*Credential); ok {
		c.Type = typ
		fields := maps.Clone(m)
		for _, name := range []string{"id", "consumer", "tags", "created_at"} {
			delete(fields, name)
		}
		if len(fields) > 0 {
			c.Fields = fields
		}
		m = maps.Clone(m)
		delete(m, "type")
		delete(m, "fields")
	}
	if err := schema.Decode(m, e); err != nil {
		return nil, err
	}
	return e, nil
}

// recordOf returns the schema of an entity, or the field and the message that
// say why there is none.
func (s SchemaSet) recordOf(kind Kind, m map[string]any, credentialType string) (r *schema.Record, field, message string) {
	switch kind {
	case KindService:
		return serviceRecord, "", ""
	case KindRoute:
		return routeRecord(m), "", ""
	case KindUpstream:
		return upstreamRecord, "", ""
	case KindTarget:
		return targetRecord, "", ""
	case KindConsumer:
		return consumerRecord, "", ""
	case KindConsumerGroup:
		return consumerGroupRecord, "", ""
	case KindCertificate:
		return certificateRecord, "", ""
	case KindSNI:
		return sniRecord, "", ""
	case KindCACertificate:
		return caCertificateRecord, "", ""
	case KindVault:
		return vaultRecord(m["name"])
	case KindPlugin:
		return s.pluginRecord(m["name"])
	case KindCredential:
		if c := s.credentials[credentialType]; c != nil {
			return c.record, "", ""
		}
		return nil, "type", fmt.Sprintf("no plugin of this gateway has credentials of type '%s'", credentialType)
	}
	return nil, "", fmt.Sprintf("unknown kind '%s'", kind)
}

func (s SchemaSet) pluginRecord(name any) (r *schema.Record, field, message string) {
	text, ok := name.(string)
	switch {
	case name == nil:
		return nil, "name", "required field missing"
	case !ok:
		return nil, "name", "expected a string"
	}
	if p := s.plugins[text]; p != nil {
		return p.record, "", ""
	}
	return nil, "name", fmt.Sprintf("plugin '%s' not enabled; this gateway has no plugin of that name", text)
}

func credentialTypeOf(e Entity) string {
	if c, ok := e.(*Credential); ok {
		return c.Type
	}
	return ""
}
