// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// rewritePlugin is the plugin that replaces the upstream path.
const rewritePlugin = "request-transformer"

// rewrite replaces the upstream path of the rules' routes as the annotation
// says: by a request-transformer of its own, or as a part of the one that the
// plugins annotation attaches to the route, since a route runs only one.
func (t *translation) rewrite(routes []*entity.Route) {
	value, set := t.annotations[fragment.AnnotationRewrite]
	if !set {
		return
	}
	field := fragment.AnnotationField(fragment.AnnotationRewrite)
	uri, err := rewriteTemplate(value)
	if err != nil {
		t.result.Invalid = true
		t.result.Report(t.ref, field, fragment.ReasonRouteInvalid,
			fmt.Sprintf("the value %q is not valid: %s", value, err), `write a path that begins with "/"; $1 to $9 stand for what the path's groups matched, \$ for a dollar sign that no "(" follows`)
		return
	}
	for _, r := range routes {
		var conflict bool
		if t.result.Entities, conflict = Rewrite(t.result.Entities, r, uri); conflict {
			t.result.Report(t.ref, field, fragment.ReasonConflict,
				"the plugin request-transformer of the route replaces the path as well; the annotation is ignored", "remove one of the two")
		}
	}
}

// Rewrite returns the entities with the replacement of a route's path, uri being
// what the plugin has there: as a part of the route's request-transformers, and
// as one of its own if none of them runs for everybody. It reports whether one of
// them replaces the path already.
func Rewrite(entities []entity.Entity, r *entity.Route, uri any) (out []entity.Entity, conflict bool) {
	everybody := false
	for i, e := range entities {
		p, ok := e.(*entity.Plugin)
		if !ok || p.Name != rewritePlugin || p.Route == nil || p.Route.ID != r.ID {
			continue
		}
		everybody = everybody || p.Consumer == nil && p.ConsumerGroup == nil
		replace, _ := p.Config["replace"].(map[string]any)
		if own, has := replace["uri"]; has && own != nil {
			conflict = true
			continue
		}
		merged := *p
		merged.Config, replace = maps.Clone(p.Config), maps.Clone(replace)
		if merged.Config == nil {
			merged.Config = make(map[string]any)
		}
		if replace == nil {
			replace = make(map[string]any)
		}
		replace["uri"] = uri
		merged.Config["replace"] = replace
		entities[i] = &merged
	}
	if !everybody {
		entities = append(entities, &entity.Plugin{
			ID: fragment.ID(entity.KindPlugin, "rewrite|"+string(r.ID)), Name: rewritePlugin, Route: &entity.Ref{ID: r.ID},
			Config: map[string]any{"replace": map[string]any{"uri": uri}}, Tags: r.Tags,
		})
	}
	return entities, conflict
}

// rewriteTemplate turns the annotation's value into the template of the plugin:
// "$" and digits name a group of the route's path, "\$" is a dollar sign, which
// no "(" may follow: that would begin an expression of the template. It begins
// with "/", or with a group, which may.
func rewriteTemplate(value string) (string, error) {
	if value == "" {
		return "/", nil
	}
	if schema.IsReference(value) { // of whatever plugin it becomes a part of
		return "", errors.New("a path cannot be a reference to a vault")
	}
	if !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "$") {
		return "", errors.New(`it does not begin with "/"`)
	}
	var out strings.Builder
	for i := 0; i < len(value); {
		switch value[i] {
		case '\\':
			if i+1 >= len(value) || value[i+1] != '$' {
				return "", fmt.Errorf(`"\" at position %d is not followed by "$"`, i)
			}
			if i+2 < len(value) && value[i+2] == '(' { // the plugin knows no dollar sign that it does not run there
				return "", fmt.Errorf(`"\$" at position %d is followed by "("`, i)
			}
			out.WriteByte('$')
			i += 2
		case '$':
			end := i + 1
			for end < len(value) && value[end] >= '0' && value[end] <= '9' {
				end++
			}
			if end == i+1 {
				return "", fmt.Errorf(`"$" at position %d is not followed by a digit`, i)
			}
			out.WriteString("$(uri_captures[" + value[i+1:end] + "])")
			i = end
		default:
			out.WriteByte(value[i])
			i++
		}
	}
	return out.String(), nil
}
