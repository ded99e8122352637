// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"maps"
	"strings"

	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	netv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/ingress"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// revive returns the routes, SNIs and plugins that a predecessor published for
// an object with routes, made with what they refer to now: what is gone or was
// revoked since is gone for them too, and they contend for names like others.
func (old restored) revive(o fragment.Owner, now client.Object, refs *recorder) fragment.Result {
	v := revival{old: old, owner: o, object: routeRef(now), refs: refs}
	for _, e := range old.entities {
		switch e := e.(type) {
		case *entity.Route:
			v.route(e)
		case *entity.SNI:
			v.sni(e)
		}
	}
	v.plugins(isStreamRoute(o.Kind))
	return v.result
}

// routeRef names an object with routes.
func routeRef(o client.Object) fragment.ObjectRef {
	switch o := o.(type) {
	case *kongv1beta1.TCPIngress:
		return ingress.TCPRef(o)
	case *kongv1beta1.UDPIngress:
		return ingress.UDPRef(o)
	case *netv1.Ingress:
		return ingress.Ref(o)
	}
	return fragment.ObjectRef{}
}

func isStreamRoute(kind fragment.OwnerKind) bool {
	return kind == fragment.OwnerTCPIngress || kind == fragment.OwnerUDPIngress
}

// revival is the state of one revive call.
type revival struct {
	old    restored
	owner  fragment.Owner
	object fragment.ObjectRef
	refs   *recorder
	routes []kongcrd.Attachment
	result fragment.Result
}

// claim claims and reports whether nobody older does.
func (v *revival) claim(c fragment.Claim) bool {
	v.result.Claims = append(v.result.Claims, c)
	first, ok := v.refs.First(c)
	if !ok || first.Owner == v.owner {
		return true
	}
	v.result.Report(v.object, "spec", fragment.ReasonConflict,
		fmt.Sprintf("the older %s has the same %s %q; it is not served for this object", first.Owner, c.Scope, c.Value), "rename one of the two")
	return false
}

// route takes over a route whose Service port there still is.
func (v *revival) route(r *entity.Route) {
	// The default backend's route is the only one with this name.
	isDefault := v.owner.Kind == fragment.OwnerIngress && r.Name == v.owner.Namespace+"."+v.owner.Name
	if isDefault && !v.claim(fragment.Claim{Scope: fragment.ClaimDefaultBackend}) {
		return
	}
	if !v.claim(fragment.Claim{Scope: fragment.ClaimRouteName, Value: r.Name}) || r.Service == nil {
		return
	}
	backend, known := v.old.uses[entity.Key{Kind: entity.KindService, ID: r.Service.ID}]
	if !known {
		return // nothing was published that it could have been served with
	}
	facts := v.refs.Backend(fragment.BackendOf(backend))
	if facts.Reason != "" {
		v.result.Report(v.object, "spec", facts.Reason, facts.Message, facts.Fix)
	}
	if facts.Service == "" {
		return
	}
	if r.Service.ID != facts.Service {
		moved := *r
		moved.Service = &entity.Ref{ID: facts.Service}
		r = &moved
	}
	v.result.Entities = append(v.result.Entities, r)
	v.routes = append(v.routes, kongcrd.Attachment{Route: r.ID, Protocols: r.Protocols})
}

// sni takes over an SNI whose Secret there still is.
func (v *revival) sni(s *entity.SNI) {
	if s.Certificate == nil {
		return
	}
	secret, known := v.old.uses[entity.Key{Kind: entity.KindCertificate, ID: s.Certificate.ID}]
	if !known || secret.Kind != fragment.OwnerCertificate {
		return
	}
	facts := v.refs.Certificate(secret.Namespace, secret.Name)
	if facts.Reason != "" {
		v.result.Report(v.object, "spec.tls", facts.Reason, facts.Message, facts.Fix)
	}
	if v.claim(fragment.Claim{Scope: fragment.ClaimSNI, Value: s.Name, Data: string(facts.ID)}) && facts.ID == s.Certificate.ID {
		v.result.Entities = append(v.result.Entities, s)
	}
}

// plugins attaches the plugins of the object's routes as they are now. What
// stood for none, a marker or the object's own rewrite, stays.
func (v *revival) plugins(stream bool) {
	from := kongcrd.Referrer{
		Object: v.object, Refs: v.refs, Stream: stream,
		Annotations: map[string]string{fragment.AnnotationPlugins: strings.Join(v.old.pluginNames(v.owner.Namespace), ",")},
	}
	kongcrd.Attach(from, fragment.ClaimPluginOnRoute, v.routes, &v.result)
	made := make(map[entity.ID]int)
	routes := make(map[entity.ID]bool)
	for i, e := range v.result.Entities {
		made[e.EntityID()] = i
		if r, ok := e.(*entity.Route); ok {
			routes[r.ID] = true
		}
	}
	for _, e := range v.old.entities {
		p, ok := e.(*entity.Plugin)
		if !ok || p.Route == nil || !routes[p.Route.ID] {
			continue
		}
		i, again := made[p.ID]
		_, _, ofPlugin := pluginOf(p)
		switch {
		case again && ofPlugin:
			v.result.Entities[i] = rewritten(v.result.Entities[i].(*entity.Plugin), p)
		case !again && !ofPlugin:
			v.result.Entities = append(v.result.Entities, p)
		}
	}
}

// rewritten returns a plugin with the path that the object's rewrite annotation
// had put into its predecessor, unless it replaces the path itself.
func rewritten(p, old *entity.Plugin) *entity.Plugin {
	uri := replacedPath(old)
	if p.Name != old.Name || !isMerged(old) || uri == nil || replacedPath(p) != nil {
		return p
	}
	return withPath(p, uri)
}

// withPath returns a request-transformer with another path, nil for none.
func withPath(p *entity.Plugin, uri any) *entity.Plugin {
	replace, _ := p.Config["replace"].(map[string]any)
	out := *p
	out.Config, replace = maps.Clone(p.Config), maps.Clone(replace)
	if out.Config == nil {
		out.Config = make(map[string]any)
	}
	if replace == nil {
		replace = make(map[string]any)
	}
	replace["uri"] = uri
	if uri == nil {
		delete(replace, "uri")
	}
	out.Config["replace"] = replace
	if len(replace) == 0 {
		delete(out.Config, "replace")
	}
	return &out
}

// replacedPath returns the path that a request-transformer puts in the place of
// the request's, nil if none.
func replacedPath(p *entity.Plugin) any {
	replace, _ := p.Config["replace"].(map[string]any)
	return replace["uri"]
}
