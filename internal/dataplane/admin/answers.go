// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// info is what Kong tells of a node.
func (s *Server) info() (int, any) {
	body := s.options.Info()
	enabled := map[string]bool{}
	for _, e := range s.options.Entities.list(entity.KindPlugin, nil) {
		enabled[e.(*entity.Plugin).Name] = true
	}
	body["plugins"] = map[string]any{
		"available_on_server": s.options.Plugins, "enabled_in_cluster": append([]string{}, slices.Sorted(maps.Keys(enabled))...),
	}
	body["node_id"] = s.options.NodeID
	return http.StatusOK, body
}

// endpoints lists what there is.
func endpoints() (int, any) {
	out := []string{"/", "/endpoints", "/schemas/plugins/{name}", "/schemas/vaults/{name}", "/schemas/{name}", "/status", "/tags", "/tags/{tags}", "/upstreams/{upstreams}/health"}
	for _, c := range collections {
		one := "/" + c.path + "/{" + c.path + "}"
		out = append(out, "/"+c.path, one)
		for _, b := range c.children {
			out = append(out, one+"/"+b.path)
			if b.belongs != nil {
				out = append(out, one+"/"+b.path+"/{"+b.path+"}")
			}
		}
	}
	slices.Sort(out)
	return http.StatusOK, map[string]any{"data": out}
}

// all is a list of a whole collection.
func (s *Server) all(c *collection, query url.Values) answer {
	return func() (int, any) {
		wanted, bad := tagFilter(query)
		if bad != nil {
			return http.StatusBadRequest, bad
		}
		list := s.options.Entities.list(c.kind, func(e entity.Entity) bool { return holds(c.kind, c.credentials, e) && wanted(e) })
		return s.page(list, "/"+c.path, query, true)
	}
}

// selected returns the entity of a collection with a name or id, nil without
// one. Certificates go by their server names as well.
func (s *Server) selected(c *collection, name string) entity.Entity {
	return s.choose(c.kind, c.credentials, name, nil)
}

func (s *Server) choose(kind entity.Kind, credentials, name string, keep func(entity.Entity) bool) entity.Entity {
	found := s.options.Entities.list(kind, func(e entity.Entity) bool {
		return holds(kind, credentials, e) && named(e, name) && (keep == nil || keep(e))
	})
	if len(found) > 0 {
		return found[0]
	}
	if kind == entity.KindCertificate && keep == nil && !schema.IsUUID(name) {
		if sni, ok := s.choose(entity.KindSNI, "", name, nil).(*entity.SNI); ok && sni.Certificate != nil {
			return s.options.Entities.get(entity.KindCertificate, sni.Certificate.ID)
		}
	}
	return nil
}

// one is the answer of one entity.
func (s *Server) one(e entity.Entity) (int, any) {
	if e == nil {
		return http.StatusNotFound, notFound
	}
	return http.StatusOK, s.view(e)
}

// below is what lies below an entity: a list, one of that list, or one entity.
func (s *Server) below(c *collection, at []string, query url.Values) answer {
	if c.kind == entity.KindUpstream && len(at) == 3 && at[2] == "health" {
		return func() (int, any) { return s.health(s.selected(c, at[1]), "/"+url.PathEscape(at[1])+"/health", query) }
	}
	b := c.child(at[2])
	if b == nil || len(at) > 4 || len(at) == 4 && b.belongs == nil {
		return nil
	}
	return func() (int, any) {
		parent := s.selected(c, at[1])
		if parent == nil {
			return http.StatusNotFound, notFound
		}
		if b.single != nil {
			return s.one(s.options.Entities.get(b.kind, b.single(parent)))
		}
		of := func(e entity.Entity) bool { return b.belongs(parent, e) }
		if len(at) == 4 {
			return s.one(s.choose(b.kind, b.credentials, at[3], of))
		}
		list := s.options.Entities.list(b.kind, func(e entity.Entity) bool { return holds(b.kind, b.credentials, e) && of(e) })
		return s.page(list, "/"+c.path+"/"+url.PathEscape(at[1])+"/"+b.path, query, false)
	}
}

// view is an entity as it is shown.
func (s *Server) view(e entity.Entity) map[string]any {
	out := entity.View(e, s.options.Schemas)
	switch e := e.(type) {
	case *entity.Route:
		// As Kong, whose routes have these with the flavor expressions only.
		if e.Expression == "" {
			delete(out, "expression")
			delete(out, "priority")
		}
	case *entity.Certificate:
		names := []string{}
		for _, n := range s.options.Entities.list(entity.KindSNI, nil) {
			if sni := n.(*entity.SNI); sni.Certificate != nil && sni.Certificate.ID == e.ID {
				names = append(names, sni.Name)
			}
		}
		slices.Sort(names)
		out["snis"] = names
	case *entity.Credential:
		// Whatever its type calls it, nothing of a credential but whom it belongs
		// to is of use to a reader.
		for name, v := range out {
			if _, text := v.(string); text && secretive(name) {
				out[name] = schema.Redacted
			}
		}
	}
	s.date(out, e)
	return out
}

// date fills in when an entity was made and changed where it does not say so
// itself: as far as is known here, which is since when it is here as it is.
func (s *Server) date(view map[string]any, e entity.Entity) {
	created, updated := s.options.Entities.times(e)
	for name, at := range map[string]time.Time{"created_at": created, "updated_at": updated} {
		if v, has := view[name]; !has || v != nil || at.IsZero() {
			continue
		}
		view[name] = at.Unix()
		if e.EntityKind() == entity.KindTarget {
			view[name] = float64(at.UnixMilli()) / 1000 // Kong is more precise with them
		}
	}
}

// secretive reports whether a field of a credential counts as secret even
// where its schema does not say so.
func secretive(name string) bool {
	switch name {
	case "key", "password", "secret", "client_secret", "token":
		return true
	}
	return false
}

// tagged is a tag of an entity.
type tagged struct {
	EntityName string    `json:"entity_name"`
	EntityID   entity.ID `json:"entity_id"`
	Tag        string    `json:"tag"`
}

// tags lists the entities that have tags, or one tag.
func (s *Server) tags(at []string, query url.Values) answer {
	return func() (int, any) {
		path := "/tags"
		if len(at) > 0 {
			path += "/" + url.PathEscape(at[0])
		}
		var list []tagged
		for _, kind := range kinds {
			for _, e := range s.options.Entities.list(kind, nil) {
				for _, t := range entity.Tags(e) {
					if len(at) == 0 || t == at[0] {
						list = append(list, tagged{EntityName: nameOfKind(e), EntityID: e.EntityID(), Tag: t})
					}
				}
			}
		}
		key := func(t tagged) string { return t.EntityName + "/" + string(t.EntityID) + "/" + t.Tag }
		slices.SortFunc(list, func(a, b tagged) int { return strings.Compare(key(a), key(b)) })
		return paged(list, key, func(t tagged) any { return t }, path, query, false)
	}
}

var kinds = []entity.Kind{
	entity.KindCACertificate, entity.KindCertificate, entity.KindConsumerGroup, entity.KindConsumer, entity.KindCredential, entity.KindPlugin,
	entity.KindRoute, entity.KindService, entity.KindSNI, entity.KindTarget, entity.KindUpstream, entity.KindVault,
}

func nameOfKind(e entity.Entity) string {
	if c, ok := e.(*entity.Credential); ok {
		return c.Type
	}
	return string(e.EntityKind())
}

// schemas describes kinds of entities.
func (s *Server) schemas(at []string) answer {
	kind, variant, missing := entity.Kind(""), "", "entity"
	switch {
	case len(at) == 2 && at[0] == "plugins":
		kind, variant, missing = entity.KindPlugin, at[1], "plugin"
	case len(at) == 2 && at[0] == "vaults":
		kind, variant, missing = entity.KindVault, at[1], "vault"
	case len(at) == 1:
		kind, variant = entity.Kind(at[0]), at[0]
		if _, ok := s.options.Schemas.Credential(at[0]); ok {
			kind = entity.KindCredential
		}
	default:
		return nil
	}
	return func() (int, any) {
		fields, ok := entity.Describe(kind, variant, s.options.Schemas)
		if !ok {
			return http.StatusNotFound, message{"No " + missing + " named '" + at[len(at)-1] + "'"}
		}
		return http.StatusOK, map[string]any{"fields": fields}
	}
}

// tagFilter reads the query's tags: all of a,b or one of a/b.
func tagFilter(query url.Values) (func(entity.Entity) bool, any) {
	text, set := query.Get("tags"), query.Has("tags")
	if !set {
		return func(entity.Entity) bool { return true }, nil
	}
	every, some := strings.Contains(text, ","), strings.Contains(text, "/")
	if text == "" || every && some {
		return nil, failure{"invalid options", codeInvalidOptions, "invalid option (tags: invalid filter syntax)"}
	}
	wanted := strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == '/' })
	return func(e entity.Entity) bool {
		has := func(t string) bool { return slices.Contains(entity.Tags(e), t) }
		if some {
			return slices.ContainsFunc(wanted, has)
		}
		return !slices.ContainsFunc(wanted, func(t string) bool { return !has(t) })
	}, nil
}
