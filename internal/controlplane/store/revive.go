// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"maps"
	"slices"

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
	// A predecessor may have published another spelling of the name.
	host := entity.CanonicalServerName(s.Name)
	if v.claim(fragment.Claim{Scope: fragment.ClaimSNI, Value: host, Data: string(facts.ID)}) && facts.ID == s.Certificate.ID {
		now := *s
		now.ID, now.Name = fragment.ID(entity.KindSNI, host), host
		v.result.Entities = append(v.result.Entities, &now)
	}
}

// plugins attaches the plugins of the object's routes as they are now, and makes
// the object's own rewrite a part of them.
func (v *revival) plugins(stream bool) {
	from := kongcrd.Referrer{
		Object: v.object, Refs: v.refs, Stream: stream,
		Annotations: map[string]string{fragment.AnnotationPlugins: v.old.plugins},
	}
	kongcrd.Attach(from, fragment.ClaimPluginOnRoute, v.routes, &v.result)
	for _, e := range v.old.entities {
		if r, ok := e.(*entity.Route); ok && v.serves(r.ID) {
			if uri := v.old.rewrite(r.ID); uri != nil {
				v.result.Entities, _ = ingress.Rewrite(v.result.Entities, r, uri)
			}
		}
	}
}

func (v *revival) serves(route entity.ID) bool {
	return slices.ContainsFunc(v.routes, func(a kongcrd.Attachment) bool { return a.Route == route })
}

// rewrite returns the path that the object's rewrite annotation gave a route:
// that of a plugin of the object's own, or what was merged into another. It is
// nil if there is none.
func (old restored) rewrite(route entity.ID) any {
	for _, e := range old.entities {
		p, ok := e.(*entity.Plugin)
		if !ok || p.Route == nil || p.Route.ID != route {
			continue
		}
		if _, _, ofPlugin := pluginOf(p); isMerged(p) || !ofPlugin {
			if uri := replacedPath(p); uri != nil {
				return uri
			}
		}
	}
	return nil
}

// withoutPath returns a request-transformer that leaves the path as it is.
func withoutPath(p *entity.Plugin) *entity.Plugin {
	replace, _ := p.Config["replace"].(map[string]any)
	out := *p
	out.Config, replace = maps.Clone(p.Config), maps.Clone(replace)
	if delete(replace, "uri"); len(replace) == 0 {
		delete(out.Config, "replace")
	} else {
		out.Config["replace"] = replace
	}
	return &out
}

// replacedPath returns the path that a request-transformer puts in the place of
// the request's, nil if none.
func replacedPath(p *entity.Plugin) any {
	replace, _ := p.Config["replace"].(map[string]any)
	return replace["uri"]
}
