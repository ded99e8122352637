// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"
	"strconv"
	"strings"

	netv1 "k8s.io/api/networking/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Ref names an Ingress.
func Ref(ing *netv1.Ingress) fragment.ObjectRef {
	return fragment.RefOf(netv1.GroupName, "v1", "Ingress", ing)
}

// Owner returns the unit of an Ingress.
func Owner(ing *netv1.Ingress) fragment.Owner {
	return fragment.Owner{Kind: fragment.OwnerIngress, Namespace: ing.Namespace, Name: ing.Name}
}

// Translate returns the Kong routes of an Ingress, the plugins attached to them
// and the SNIs of its TLS section.
func Translate(ing *netv1.Ingress, refs fragment.Refs) fragment.Result {
	t := translation{ing: ing, routeObject: routeObject{ref: Ref(ing), annotations: ing.Annotations, owner: Owner(ing), refs: refs}}
	t.marker = regexMarker{prefix: defaultRegexPrefix, legacy: refs.Settings().LegacyRegexDetection}
	if p := ing.Annotations[fragment.AnnotationRegexPrefix]; p != "" {
		t.marker.prefix = p
	}
	for _, g := range t.groups() {
		t.route(&g)
	}
	rules := t.routes
	t.defaultBackend()
	t.plugins()
	t.rewrite(rules)
	for i, section := range ing.Spec.TLS {
		t.tls(i, section.SecretName, section.Hosts)
	}
	return t.result
}

// translation is the state of one Translate call.
type translation struct {
	routeObject
	ing    *netv1.Ingress
	marker regexMarker
}

// group is what becomes one Kong route: all paths of one host to one backend.
type group struct {
	host    string
	backend fragment.BackendKey
	field   string // of the first path
	paths   []string
}

// groups collects the paths of all rules by host and backend, in the order in
// which they first appear.
func (t *translation) groups() []group {
	type key struct {
		host    string
		backend fragment.BackendKey
	}
	var groups []group
	index := make(map[key]int)
	for i, rule := range t.ing.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j, p := range rule.HTTP.Paths {
			field := "spec.rules[" + strconv.Itoa(i) + "].http.paths[" + strconv.Itoa(j) + "].backend"
			backend, ok := t.backend(p.Backend, field)
			if !ok {
				continue
			}
			k := key{rule.Host, backend}
			n, known := index[k]
			if !known {
				n = len(groups)
				index[k] = n
				groups = append(groups, group{host: rule.Host, backend: backend, field: field})
			}
			groups[n].paths = appendKongPaths(groups[n].paths, p.Path, p.PathType, t.marker)
		}
	}
	return groups
}

// backend returns the Service port that an Ingress backend names.
func (t *translation) backend(b netv1.IngressBackend, field string) (fragment.BackendKey, bool) {
	if b.Service == nil {
		at, message := field, "the backend names no Service; the path is left out"
		if b.Resource != nil {
			at, message = field+".resource", fmt.Sprintf("a backend of kind %s cannot be served; the path is left out", b.Resource.Kind)
		}
		t.result.Report(t.ref, at, fragment.ReasonBackendUnsupported, message, "name a Service in "+field+".service")
		return fragment.BackendKey{}, false
	}
	port := b.Service.Port.Name
	if b.Service.Port.Number != 0 {
		port = strconv.Itoa(int(b.Service.Port.Number))
	}
	return fragment.BackendKey{Namespace: t.ing.Namespace, Service: b.Service.Name, Port: port}, true
}

// route adds the Kong route of a group.
func (t *translation) route(g *group) {
	name := strings.Join([]string{
		t.ing.Namespace, t.ing.Name, g.backend.Service, strings.ReplaceAll(g.host, "*", "_"), g.backend.Port,
	}, ".")
	r := t.newRoute(name, g.backend, g.field)
	if r == nil {
		return
	}
	r.Paths = fragment.Unique(g.paths)
	if g.host != "" {
		r.Hosts = []string{g.host}
	}
	t.annotate(r, g.field)
}

// newRoute adds a route with the defaults of Kong's ingress controller, or nil
// when there can be none.
func (t *translation) newRoute(name string, backend fragment.BackendKey, field string) *entity.Route {
	r, facts := t.add(name, backend, field)
	if r == nil {
		return nil
	}
	preserveHost := !facts.RewriteHost
	r.StripPath, r.PreserveHost = new(bool), &preserveHost
	if facts.RewriteHost && strings.EqualFold(t.annotations[fragment.AnnotationPreserveHost], "true") {
		fix := "remove the annotation, or give the Service a cluster address"
		if t.refs.Settings().ServiceHost {
			fix = "remove the annotation, or set spec.mesh.upstreamHost: Preserve of the gateway"
		}
		t.result.Report(t.ref, fragment.AnnotationField(fragment.AnnotationPreserveHost), fragment.ReasonBackendUnsupported,
			fmt.Sprintf("the mesh knows the pods of %s/%s only by the Service's name; requests with another Host header do not reach them", backend.Namespace, backend.Service),
			fix)
	}
	return r
}

// annotate applies the Ingress's annotations to a route and checks the outcome.
func (t *translation) annotate(r *entity.Route, field string) {
	t.check(r, annotateRoute(r, t.annotations), field, "correct the path, host or annotation")
}

// defaultBackend adds the route of spec.defaultBackend. Only the oldest Ingress
// with one counts.
func (t *translation) defaultBackend() {
	if t.ing.Spec.DefaultBackend == nil {
		return
	}
	const field = "spec.defaultBackend"
	backend, ok := t.backend(*t.ing.Spec.DefaultBackend, field)
	if !ok {
		return
	}
	claim := fragment.Claim{Scope: fragment.ClaimDefaultBackend}
	t.result.Claims = append(t.result.Claims, claim)
	if first, ok := t.refs.First(claim); ok && first.Owner != t.owner {
		t.result.Report(t.ref, field, fragment.ReasonConflict,
			fmt.Sprintf("the older %s already has the default backend; this one is not used", first.Owner),
			"keep spec.defaultBackend in one Ingress of the class")
		return
	}
	r := t.newRoute(t.ing.Namespace+"."+t.ing.Name, backend, field)
	if r == nil {
		return
	}
	r.Paths = []string{"/"}
	t.annotate(r, field)
}
