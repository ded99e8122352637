// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"
	"strconv"
	"strings"

	netv1 "k8s.io/api/networking/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
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
	t := translation{ing: ing, ref: Ref(ing), owner: Owner(ing), refs: refs}
	t.regexPrefix = defaultRegexPrefix
	if p := ing.Annotations[fragment.AnnotationRegexPrefix]; p != "" {
		t.regexPrefix = p
	}
	for _, g := range t.group() {
		t.route(g)
	}
	t.defaultBackend()
	t.plugins()
	t.tls()
	return t.result
}

// translation is the state of one Translate call.
type translation struct {
	ing         *netv1.Ingress
	ref         fragment.ObjectRef
	owner       fragment.Owner
	refs        fragment.Refs
	regexPrefix string
	routes      []*entity.Route
	result      fragment.Result
	reported    bool // annotation problems are the same for every route
}

// group is what becomes one Kong route: all paths of one host to one backend.
type group struct {
	host    string
	backend fragment.BackendKey
	field   string // of the first path
	paths   []string
}

// group collects the paths of all rules by host and backend, in the order in
// which they first appear.
func (t *translation) group() []*group {
	type key struct {
		host    string
		backend fragment.BackendKey
	}
	var groups []*group
	index := make(map[key]*group)
	for i, rule := range t.ing.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j, p := range rule.HTTP.Paths {
			field := fmt.Sprintf("spec.rules[%d].http.paths[%d]", i, j)
			backend, ok := t.backend(p.Backend, field+".backend")
			if !ok {
				continue
			}
			k := key{rule.Host, backend}
			g := index[k]
			if g == nil {
				g = &group{host: rule.Host, backend: backend, field: field + ".backend"}
				index[k] = g
				groups = append(groups, g)
			}
			g.paths = append(g.paths, kongPaths(p.Path, p.PathType, t.regexPrefix)...)
		}
	}
	return groups
}

// backend returns the Service port that an Ingress backend names.
func (t *translation) backend(b netv1.IngressBackend, field string) (fragment.BackendKey, bool) {
	if b.Service == nil {
		kind := "resource"
		if b.Resource != nil {
			kind = b.Resource.Kind
		}
		t.result.Report(t.ref, field+".resource", fragment.ReasonBackendUnsupported,
			fmt.Sprintf("a backend of kind %s cannot be served; the path is left out", kind),
			"name a Service in "+field+".service")
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
// when there can be no service, or the name belongs to another Ingress: names
// are made of parts that may themselves contain dots, so two Ingresses can come
// to the same one.
func (t *translation) newRoute(name string, backend fragment.BackendKey, field string) *entity.Route {
	claim := fragment.Claim{Scope: fragment.ClaimRouteName, Value: name}
	t.result.Claims = append(t.result.Claims, claim)
	if first, ok := t.refs.First(claim); ok && first.Owner != t.owner {
		t.result.Report(t.ref, field, fragment.ReasonConflict,
			fmt.Sprintf("the Kong route name %q is already taken by %s; this rule is not served", name, first.Owner),
			"rename one of the two Ingresses")
		return nil
	}
	facts := t.refs.Backend(backend)
	if facts.Reason != "" {
		t.result.Report(t.ref, field, facts.Reason, facts.Message, facts.Fix)
	}
	if facts.Service == "" {
		return nil
	}
	preserveHost := !facts.RewriteHost
	r := &entity.Route{
		ID:           fragment.ID(entity.KindRoute, name),
		Name:         name,
		Service:      &entity.Ref{ID: facts.Service},
		StripPath:    new(bool),
		PreserveHost: &preserveHost,
		Tags:         fragment.Tags(t.ref, t.ing.Annotations),
	}
	t.routes = append(t.routes, r)
	fix := "remove the annotation, or give the Service a cluster address"
	if t.refs.Settings().ServiceHost {
		fix = "remove the annotation, or set spec.mesh.upstreamHost: Preserve of the gateway"
	}
	if facts.RewriteHost && strings.EqualFold(t.ing.Annotations[fragment.AnnotationPreserveHost], "true") {
		t.result.Report(t.ref, fragment.AnnotationField(fragment.AnnotationPreserveHost), fragment.ReasonBackendUnsupported,
			fmt.Sprintf("the mesh knows the pods of %s/%s only by the Service's name; requests with another Host header do not reach them", backend.Namespace, backend.Service),
			fix)
	}
	t.result.Entities = append(t.result.Entities, r)
	return r
}

// annotate applies the Ingress's annotations to a route and checks the outcome.
// A route that cannot be served makes the whole version of the Ingress invalid.
func (t *translation) annotate(r *entity.Route, field string) {
	for _, p := range annotateRoute(r, t.ing.Annotations) {
		if !t.reported {
			t.result.Report(t.ref, p.field, fragment.ReasonAnnotationIgnored, p.message, p.fix)
		}
	}
	t.reported = true
	for _, p := range t.refs.Check(r) {
		t.result.Invalid = true
		t.result.Report(t.ref, field, fragment.ReasonRouteInvalid,
			fmt.Sprintf("the Kong route %s is not valid: %s: %s", r.Name, p.Field, p.Message), "correct the path, host or annotation")
	}
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

// plugins attaches the annotated plugins to every route.
func (t *translation) plugins() {
	from := kongcrd.Referrer{Object: t.ref, Annotations: t.ing.Annotations, Refs: t.refs}
	attachments := make([]kongcrd.Attachment, 0, len(t.routes))
	for _, r := range t.routes {
		attachments = append(attachments, kongcrd.Attachment{Route: r.ID})
	}
	kongcrd.Attach(from, fragment.ClaimPluginOnRoute, attachments, &t.result)
}

// tls adds the SNIs of the TLS section. A host goes to the oldest Ingress that
// brings a certificate for it.
func (t *translation) tls() {
	for i, section := range t.ing.Spec.TLS {
		if section.SecretName == "" || len(section.Hosts) == 0 {
			continue
		}
		field := fmt.Sprintf("spec.tls[%d].secretName", i)
		cert := t.refs.Certificate(t.ing.Namespace, section.SecretName)
		if cert.Reason != "" {
			t.result.Report(t.ref, field, cert.Reason, cert.Message, cert.Fix)
		}
		if cert.ID == "" {
			continue
		}
		for _, host := range fragment.Unique(section.Hosts) {
			t.sni(host, cert.ID, field)
		}
	}
}

func (t *translation) sni(host string, cert entity.ID, field string) {
	claim := fragment.Claim{Scope: fragment.ClaimSNI, Value: host, Data: string(cert)}
	for _, mine := range t.result.Claims {
		if mine.Scope == claim.Scope && mine.Value == host {
			return // an earlier section of this Ingress has it
		}
	}
	t.result.Claims = append(t.result.Claims, claim)
	if first, ok := t.refs.First(claim); ok && first.Owner != t.owner {
		if first.Data != claim.Data {
			t.result.Report(t.ref, field, fragment.ReasonConflict,
				fmt.Sprintf("the older %s already brings another certificate for host %s; this one is not used for it", first.Owner, host),
				"use one Secret per host")
		}
		return
	}
	sni := &entity.SNI{
		ID:          fragment.ID(entity.KindSNI, host),
		Name:        host,
		Certificate: &entity.Ref{ID: cert},
		Tags:        fragment.Tags(t.ref, t.ing.Annotations),
	}
	if problems := t.refs.Check(sni); len(problems) > 0 {
		t.result.Report(t.ref, field, fragment.ReasonRouteInvalid,
			fmt.Sprintf("host %q cannot have a certificate: %s", host, problems[0].Message), "correct the host")
		return
	}
	t.result.Entities = append(t.result.Entities, sni)
}
