// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// recorder answers one translation's questions and remembers them.
type recorder struct {
	g    *graph
	self fragment.Owner
	deps []*thing // may name a thing more than once
	// pending is true when a Secret was asked for that is still being read.
	pending bool
	// instead replaces the unit's own object by its last good version.
	instead client.Object
}

func (r *recorder) record(d dependency) { r.deps = append(r.deps, r.g.thing(d)) }

// object returns an object, nil if it does not exist.
func (r *recorder) object(key Key) client.Object {
	r.record(onObject(key))
	if r.instead != nil && key == subjectOf(r.self) {
		return r.instead
	}
	return r.g.store.objects.byKey[key]
}

// Settings implements fragment.Refs. All units are translated again when the
// settings change, so that it is not recorded.
func (r *recorder) Settings() fragment.Settings { return r.g.settings }

// Service implements fragment.Refs.
func (r *recorder) Service(namespace, name string) *corev1.Service {
	s, _ := r.object(Key{KindService, namespace, name}).(*corev1.Service)
	return s
}

// EndpointSlices implements fragment.Refs.
func (r *recorder) EndpointSlices(namespace, service string) []*discoveryv1.EndpointSlice {
	r.record(onObject(Key{KindEndpointSlice, namespace, service}))
	return r.g.store.objects.endpointSlices(namespace, service)
}

// Secret implements fragment.Refs. A Secret that was not read yet is asked for,
// and the translation's outcome is not used.
func (r *recorder) Secret(namespace, name string) *corev1.Secret {
	key := Key{KindSecret, namespace, name}
	if r.instead != nil && key == subjectOf(r.self) {
		r.record(onObject(key))
		s, _ := r.instead.(*corev1.Secret)
		return s
	}
	r.record(onObject(key))
	secret, known := r.g.store.secrets.get(key)
	if !known {
		r.pending = true
	}
	return secret
}

// ConfigMap implements fragment.Refs.
func (r *recorder) ConfigMap(namespace, name string) *corev1.ConfigMap {
	c, _ := r.object(Key{KindConfigMap, namespace, name}).(*corev1.ConfigMap)
	return c
}

// Granted implements fragment.Refs.
func (r *recorder) Granted(from fragment.GrantFrom, to fragment.GrantTo) bool {
	r.record(onGrants(to.Namespace))
	for _, grant := range r.g.store.objects.grants[to.Namespace] {
		fromOK := slices.ContainsFunc(grant.Spec.From, func(f gatewayv1beta1.ReferenceGrantFrom) bool {
			return string(f.Group) == from.Group && string(f.Kind) == from.Kind && string(f.Namespace) == from.Namespace
		})
		toOK := slices.ContainsFunc(grant.Spec.To, func(t gatewayv1beta1.ReferenceGrantTo) bool {
			return string(t.Group) == to.Group && string(t.Kind) == to.Kind && (t.Name == nil || string(*t.Name) == to.Name)
		})
		if fromOK && toOK {
			return true
		}
	}
	return false
}

// facts returns another unit's facts, translating it first if need be.
func (r *recorder) facts(o fragment.Owner) any {
	r.record(onFacts(o))
	n := r.g.need(o)
	if n.pending && n.result.Facts == nil {
		r.pending = true
	}
	return n.result.Facts
}

// Backend implements fragment.Refs.
func (r *recorder) Backend(key fragment.BackendKey) fragment.BackendFacts {
	f, _ := r.facts(key.Owner()).(fragment.BackendFacts)
	return f
}

// Certificate implements fragment.Refs.
func (r *recorder) Certificate(namespace, secret string) fragment.CertificateFacts {
	f, _ := r.facts(fragment.Owner{Kind: fragment.OwnerCertificate, Namespace: namespace, Name: secret}).(fragment.CertificateFacts)
	return f
}

// CACertificate implements fragment.Refs.
func (r *recorder) CACertificate(namespace, secret string) fragment.CertificateFacts {
	f, _ := r.facts(fragment.Owner{Kind: fragment.OwnerCACertificate, Namespace: namespace, Name: secret}).(fragment.CertificateFacts)
	return f
}

// CAConfigMap implements fragment.Refs.
func (r *recorder) CAConfigMap(namespace, name string) fragment.CertificateFacts {
	f, _ := r.facts(fragment.Owner{Kind: fragment.OwnerCAConfigMap, Namespace: namespace, Name: name}).(fragment.CertificateFacts)
	return f
}

// UpstreamPolicy implements fragment.Refs.
func (r *recorder) UpstreamPolicy(namespace, name string) fragment.PolicyFacts {
	f, _ := r.facts(fragment.Owner{Kind: fragment.OwnerUpstreamPolicy, Namespace: namespace, Name: name}).(fragment.PolicyFacts)
	return f
}

// KongIngress implements fragment.Refs.
func (r *recorder) KongIngress(namespace, name string) fragment.PolicyFacts {
	f, _ := r.facts(fragment.Owner{Kind: fragment.OwnerKongIngress, Namespace: namespace, Name: name}).(fragment.PolicyFacts)
	return f
}

// Plugin implements fragment.Refs.
func (r *recorder) Plugin(namespace, name string) fragment.PluginFacts {
	f, _ := r.facts(fragment.Owner{Kind: fragment.OwnerPlugin, Namespace: namespace, Name: name}).(fragment.PluginFacts)
	return f
}

// ConsumerGroup implements fragment.Refs.
func (r *recorder) ConsumerGroup(namespace, name string) fragment.GroupFacts {
	owner := fragment.Owner{Kind: fragment.OwnerConsumerGroup, Namespace: namespace, Name: name}
	r.record(onFacts(owner))
	n := r.g.units[owner]
	if n == nil {
		return fragment.GroupFacts{}
	}
	r.g.evaluate(n)
	f, _ := n.result.Facts.(fragment.GroupFacts)
	return f
}

// First implements fragment.Refs.
func (r *recorder) First(c fragment.Claim) (fragment.Claimant, bool) {
	key := keyOfClaim(c)
	r.record(onClaim(viewClaimFirst, key))
	if list := r.g.claims[key]; len(list) > 0 {
		return list[0], true
	}
	return fragment.Claimant{}, false
}

// Claimed implements fragment.Refs.
func (r *recorder) Claimed(c fragment.Claim) bool {
	key := keyOfClaim(c)
	r.record(onClaim(viewClaimAny, key))
	return len(r.g.claims[key]) > 0
}

// Claimants implements fragment.Refs.
func (r *recorder) Claimants(c fragment.Claim) []fragment.Claimant {
	key := keyOfClaim(c)
	r.record(onClaim(viewClaimAll, key))
	return slices.Clone(r.g.claims[key])
}

// subject returns the current version of the unit's own object, which is
// recorded by the translation itself.
func (r *recorder) subject() client.Object {
	key := subjectOf(r.self)
	if key.Kind == KindSecret {
		if s, _ := r.g.store.secrets.get(key); s != nil {
			return s
		}
		return nil
	}
	return r.g.store.objects.byKey[key]
}

// Runs implements fragment.Refs.
func (r *recorder) Runs(p *entity.Plugin, protocols []entity.Protocol) (runs, guards bool) {
	of, known := r.g.store.schemas.Plugin(p.Name)
	return entity.RunsOn(p, protocols, r.g.store.schemas), !known || of.Guards
}

// Vaults implements fragment.Refs.
func (r *recorder) Vaults(p *entity.Plugin, f func(field, vault string)) {
	entity.MapReferences(p, r.g.store.schemas, func(field, text string) string {
		if ref, err := schema.ParseReference(text); err == nil {
			f(field, ref.Vault)
		}
		return text
	})
}

// CheckInstance implements fragment.InstanceChecker. Many routes have a plugin of the same
// template, which is checked once.
func (r *recorder) CheckInstance(template, instance *entity.Plugin) []entity.Problem {
	at := placement{instance.Service != nil, instance.Route != nil, instance.Consumer != nil, instance.ConsumerGroup != nil}
	known := r.g.checked[template]
	if problems, ok := known[at]; ok {
		return problems
	}
	problems := r.Check(instance)
	if known == nil {
		known = make(map[placement][]entity.Problem, 1)
		r.g.checked[template] = known
	}
	known[at] = problems
	return problems
}

// placement is what kinds of entities a plugin is attached to.
type placement struct{ service, route, consumer, group bool }

// Check implements fragment.Refs.
func (r *recorder) Check(e entity.Entity) []entity.Problem {
	return entity.CheckEntity(e, r.g.store.schemas)
}
