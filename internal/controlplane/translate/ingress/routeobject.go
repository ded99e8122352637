// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// routeObject is what the translations of all kinds with routes have in common.
type routeObject struct {
	ref         fragment.ObjectRef
	annotations map[string]string
	owner       fragment.Owner
	refs        fragment.Refs
	stream      bool // the routes are stream routes
	tags        []string
	routes      []*entity.Route
	result      fragment.Result
	reported    bool // annotation problems are the same for every route
}

// add adds a route to a backend, or returns nil when there can be no service, or
// the name belongs to another object: names are made of parts that may
// themselves contain dots, so two objects can come to the same one.
func (t *routeObject) add(name string, backend fragment.BackendKey, field string) (*entity.Route, fragment.BackendFacts) {
	claim := fragment.Claim{Scope: fragment.ClaimRouteName, Value: name}
	t.result.Claims = append(t.result.Claims, claim)
	if first, ok := t.refs.First(claim); ok && first.Owner != t.owner {
		t.result.Report(t.ref, field, fragment.ReasonConflict,
			fmt.Sprintf("the Kong route name %q is already taken by %s; this rule is not served", name, first.Owner),
			"rename one of the two objects")
		return nil, fragment.BackendFacts{}
	}
	facts := t.refs.Backend(backend)
	if facts.Reason != "" {
		t.result.Report(t.ref, field, facts.Reason, facts.Message, facts.Fix)
	}
	if facts.Service == "" {
		return nil, facts
	}
	r := &entity.Route{
		ID: fragment.ID(entity.KindRoute, name), Name: name, Service: &entity.Ref{ID: facts.Service},
		Tags: t.objectTags(),
	}
	t.routes = append(t.routes, r)
	t.result.Entities = append(t.result.Entities, r)
	return r, facts
}

// objectTags returns the tags of the entities, which share them.
func (t *routeObject) objectTags() []string {
	if t.tags == nil {
		t.tags = fragment.Tags(t.ref, t.annotations)
	}
	return t.tags
}

// check reports the annotations that were ignored, once for the object, and what
// is wrong with a route. A route that cannot be served makes the whole version
// of the object invalid.
func (t *routeObject) check(r *entity.Route, annotations []ignored, field, fix string) {
	for _, p := range annotations {
		if !t.reported {
			t.result.Report(t.ref, p.field, fragment.ReasonAnnotationIgnored, p.message, p.fix)
		}
	}
	t.reported = true
	for _, p := range t.refs.Check(r) {
		t.result.Invalid = true
		t.result.Report(t.ref, field, fragment.ReasonRouteInvalid,
			fmt.Sprintf("the Kong route %s is not valid: %s: %s", r.Name, p.Field, p.Message), fix)
	}
}

// plugins attaches the annotated plugins to every route.
func (t *routeObject) plugins() {
	from := kongcrd.Referrer{Object: t.ref, Annotations: t.annotations, Refs: t.refs, Stream: t.stream}
	attachments := make([]kongcrd.Attachment, 0, len(t.routes))
	for _, r := range t.routes {
		attachments = append(attachments, kongcrd.Attachment{Route: r.ID, Protocols: r.Protocols})
	}
	kongcrd.Attach(from, fragment.ClaimPluginOnRoute, attachments, &t.result)
}

// tls adds the SNIs of a TLS section. A host goes to the oldest object that
// brings a certificate for it. Sections without hosts or Secret are skipped.
func (t *routeObject) tls(i int, secret string, hosts []string) {
	if secret == "" || len(hosts) == 0 {
		return
	}
	field := fmt.Sprintf("spec.tls[%d].secretName", i)
	cert := t.refs.Certificate(t.owner.Namespace, secret)
	if cert.Reason != "" {
		t.result.Report(t.ref, field, cert.Reason, cert.Message, cert.Fix)
	}
	for _, host := range fragment.Unique(hosts) {
		t.sni(host, cert.ID, field)
	}
}

// sni adds the SNI of a host, in the one spelling that the proxies compare: in
// another it would be the same host. It is taken also while there is no usable
// certificate, "", so that nobody else's is shown in its stead.
func (t *routeObject) sni(host string, cert entity.ID, field string) {
	host = entity.CanonicalServerName(host)
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
	if cert == "" {
		return
	}
	sni := &entity.SNI{
		ID:          fragment.ID(entity.KindSNI, host),
		Name:        host,
		Certificate: &entity.Ref{ID: cert},
		Tags:        t.objectTags(),
	}
	if problems := t.refs.Check(sni); len(problems) > 0 {
		t.result.Report(t.ref, field, fragment.ReasonRouteInvalid,
			fmt.Sprintf("host %q cannot have a certificate: %s", host, problems[0].Message), "correct the host")
		return
	}
	t.result.Entities = append(t.result.Entities, sni)
}
