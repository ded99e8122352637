// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Delivery is what changed for one gateway.
type Delivery struct {
	Gateway types.NamespacedName
	// Changed are the units with new entities, each as a whole; Removed those
	// that have none any more. Both are sorted by owner.
	Changed []fragment.Fragment
	Removed []fragment.Owner
	// States are those of the route objects, plugins, consumers, groups, vaults,
	// custom entities and Services with a KongUpstreamPolicy that were looked at
	// since the last call, sorted by owner.
	States []ObjectState
	// Problems are what came and went since the last delivery.
	Problems Problems
	// Summary is the gateway's current one; SummaryChanged tells in what it
	// differs from that of the last delivery.
	Summary        Summary
	SummaryChanged SummaryChange
}

// Deliver translates what has to be translated and returns what changed since
// the last call, by gateway. Gateways without changes are left out.
func (s *Store) Deliver() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Delivery
	for _, key := range slices.SortedFunc(maps.Keys(s.graphs), compareNames) {
		g := s.graphs[key]
		g.settle()
		d := Delivery{
			Gateway: key, Changed: slices.Grow([]fragment.Fragment(nil), len(g.changed)),
			States: slices.Grow([]ObjectState(nil), len(g.summary.touched)),
		}
		for o := range g.changed {
			g.deliver(o, &d)
		}
		clear(g.changed)
		for o := range g.summary.touched {
			g.state(o, &d)
		}
		clear(g.summary.touched)
		slices.SortFunc(d.States, func(a, b ObjectState) int { return a.Owner.Compare(b.Owner) })
		slices.SortFunc(d.Changed, func(a, b fragment.Fragment) int { return a.Owner.Compare(b.Owner) })
		slices.SortFunc(d.Removed, fragment.Owner.Compare)
		d.Summary, d.SummaryChanged = g.summary.get()
		d.Problems = g.summary.news()
		if len(d.Changed)+len(d.Removed)+len(d.States) > 0 || d.Problems.Any() || d.SummaryChanged.Any() {
			list = append(list, d)
		}
	}
	if len(s.secrets.wanted) > 0 {
		s.notify()
	}
	return list
}

// Problems returns what is wrong with the objects of a gateway as of the last
// translation, sorted. It goes through all of them.
func (s *Store) Problems(gateway types.NamespacedName) []fragment.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.graphs[gateway]
	if g == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(g.summary.sayers), fragment.Problem.Compare)
}

// deliver adds the current state of one unit.
func (g *graph) deliver(o fragment.Owner, d *Delivery) {
	n := g.units[o]
	var entities []entity.Entity
	var spec []byte
	if n != nil {
		entities, spec = n.entities(), n.spec()
	}
	if len(entities) == 0 && spec == nil {
		if _, was := g.delivered[o]; was {
			delete(g.delivered, o)
			d.Removed = append(d.Removed, o)
		}
		return
	}
	g.delivered[o] = struct{}{}
	f := fragment.Fragment{Owner: o, Entities: g.marked(entities), Spec: spec, LastGood: n.lastGood}
	if n.object != nil {
		f.Object = fragment.ObjectRef{
			Kind: string(subjectOf(o).Kind), Namespace: n.object.GetNamespace(), Name: n.object.GetName(), UID: n.object.GetUID(),
		}
		f.Generation = n.object.GetGeneration()
		f.Plugins = pluginsOf(n.object)
	}
	if n.lastGood && n.good == nil { // revived
		f.Plugins = g.restored[o].plugins
	}
	d.Changed = append(d.Changed, f)
}

// pluginsOf returns the plugins annotation of an object, if there is one.
func pluginsOf(o client.Object) string {
	if o == nil {
		return ""
	}
	return o.GetAnnotations()[fragment.AnnotationPlugins]
}

// spec returns what is published of a policy, so that a successor knows its last
// good version: nil where there is none.
func (n *unit) spec() []byte {
	facts, ok := n.result.Facts.(fragment.PolicyFacts)
	var data []byte
	switch {
	case ok && facts.Policy != nil:
		data, _ = json.Marshal(facts.Policy) // made of JSON
	case ok && facts.Upstream != nil:
		data, _ = json.Marshal(facts.Upstream)
	}
	return data
}

// ObjectState is how an object with a status of its own, or a Service whose
// policy has one, does in one gateway.
type ObjectState struct {
	Owner fragment.Owner
	// Object is the newest version, nil when the gateway no longer uses it.
	Object client.Object
	// Used is true when the object is part of the configuration: an older
	// version of it when LastGood is true.
	Used     bool
	LastGood bool
	// Problems are those of this object, or of the policy that a Service names.
	Problems []fragment.Problem
}

// state adds the state of a unit's object.
func (g *graph) state(o fragment.Owner, d *Delivery) {
	switch o.Kind {
	case fragment.OwnerCertificate, fragment.OwnerCACertificate, fragment.OwnerCAConfigMap, fragment.OwnerGlobalPlugin,
		fragment.OwnerUpstreamPolicy, fragment.OwnerKongIngress:
		return
	}
	state := ObjectState{Owner: o}
	if n := g.units[o]; n != nil && !n.pending {
		state.Object = g.store.objects.byKey[subjectOf(o)]
		state.LastGood = n.lastGood
		state.Used = len(n.result.Entities) > len(n.lost)
		if facts, ok := n.result.Facts.(fragment.PluginFacts); ok {
			state.Used = facts.Template != nil
			if state.Object != nil && !g.mine(state.Object) {
				state.Object = nil
			}
		}
		about := subjectOf(o).Kind
		if o.Kind == fragment.OwnerBackend {
			about = KindUpstreamPolicy
			if state.Object != nil && state.Object.GetAnnotations()[fragment.AnnotationUpstreamPolicy] == "" {
				state.Object = nil
			}
		}
		for _, p := range n.allProblems() {
			if p.Object.Kind == string(about) {
				state.Problems = append(state.Problems, p)
			}
		}
	}
	d.States = append(d.States, state)
}

// mine reports whether a plugin object may be written to: KongPlugins have no
// class, KongClusterPlugins must be of the gateway's.
func (g *graph) mine(o client.Object) bool {
	key, _ := KeyOf(o)
	return key.Kind == KindKongPlugin || owns(g.settings, o)
}
