// SPDX-License-Identifier: Apache-2.0

package logformat

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// knownEntities bounds the rendered entities that a Formatter remembers. They
// are forgotten all at once: those in use come back with the next records.
const knownEntities = 4096

func (f *Formatter) appendEntities(dst []byte, x plugin.Exchange) []byte {
	dst = f.appendRoute(dst, x.Route(), x.Service())
	id := x.Identity()
	if id.Consumer != nil {
		dst = append(append(dst, `,"consumer":`...), f.entity(id.Consumer)...)
	}
	credential := id.CredentialID
	if id.Credential != nil {
		credential = string(id.Credential.ID)
	}
	if credential != "" {
		dst = append(dst, `,"authenticated_entity":{"id":`...)
		dst = append(appendString(dst, credential), '}')
	}
	return dst
}

// appendRoute renders the route and its service, either of which may be nil.
func (f *Formatter) appendRoute(dst []byte, r *entity.Route, s *entity.Service) []byte {
	if r != nil {
		dst = append(append(dst, `,"route":`...), f.entity(r)...)
	}
	if s != nil {
		dst = append(append(dst, `,"service":`...), f.entity(s)...)
	}
	return dst
}

// entity returns the JSON of an entity as Kong logs it. Entities are
// immutable, so that the pointer stands for the content.
func (f *Formatter) entity(e entity.Entity) []byte {
	f.mu.RLock()
	out, ok := f.known[e]
	f.mu.RUnlock()
	if ok {
		return out
	}
	out = f.render(e)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= knownEntities {
		clear(f.known)
	}
	f.known[e] = out
	return out
}

func (f *Formatter) render(e entity.Entity) []byte {
	// An entity that cannot be completed was refused before it could serve.
	if full, err := entity.Complete(e, entity.SchemaSet{}); err == nil {
		e = full
	}
	data, err := entity.MarshalEntity(e)
	if err != nil {
		return []byte("null")
	}
	fields := decodeObject(data)
	delete(fields, "groups") // Kong's consumers do not list their groups
	for _, name := range []string{"created_at", "updated_at"} {
		if _, has := fields[name]; !has {
			fields[name] = f.loaded
		}
	}
	if e.EntityKind() != entity.KindConsumer {
		fields["ws_id"] = workspaceID
	}
	return encodeObject(fields)
}

func decodeObject(data []byte) map[string]any {
	object, err := schema.DecodeObject(data)
	if err != nil {
		return map[string]any{}
	}
	return object
}

func encodeObject(v map[string]any) []byte {
	data, err := schema.EncodeJSON(v)
	if err != nil {
		return []byte("{}")
	}
	return data
}
