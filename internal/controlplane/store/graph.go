// SPDX-License-Identifier: Apache-2.0

package store

import (
	"reflect"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// graph is one gateway's translation. The store's lock guards it.
type graph struct {
	store    *Store
	settings fragment.Settings
	units    map[fragment.Owner]*unit
	things   map[dependency]*thing
	walk     uint64 // the last mark on things
	claims   claims
	holders  holders
	restored map[fragment.Owner]restored
	// checked is what CheckInstance found of the templates in use.
	checked map[*entity.Plugin]map[placement][]entity.Problem

	dirty   []*unit
	orphans []*unit
	// changed holds the units whose entities changed since the last delivery;
	// delivered those that have been delivered.
	changed   map[fragment.Owner]struct{}
	delivered map[fragment.Owner]struct{}
	summary   summary
}

// unit is one translation unit.
type unit struct {
	owner   fragment.Owner
	created time.Time
	root    bool // exists because of its object
	isDirty bool
	running bool
	gone    bool
	// pending is true while a Secret that the translation needs is being read;
	// the result is then that of before, if any.
	pending bool
	deps    []*thing
	result  fragment.Result
	// problems are the current ones, also while result is an earlier one's.
	problems []fragment.Problem
	// lost are the entities that belong to another unit, lostProblems say so.
	lost         map[entity.Key]struct{}
	lostProblems []fragment.Problem
	object       client.Object // the version the result is made from
	lastGood     bool
	// good is the last version of the object that was valid, and what came of
	// it.
	good       client.Object
	goodResult fragment.Result
}

func newGraph(s *Store, settings fragment.Settings) *graph {
	return &graph{
		store: s, settings: settings,
		units: make(map[fragment.Owner]*unit), things: make(map[dependency]*thing), claims: make(claims), holders: newHolders(),
		restored: make(map[fragment.Owner]restored), checked: make(map[*entity.Plugin]map[placement][]entity.Problem),
		changed: make(map[fragment.Owner]struct{}), delivered: make(map[fragment.Owner]struct{}),
		summary: newSummary(),
	}
}

// setRoot makes the unit of an object of the gateway's class exist, or not.
func (g *graph) setRoot(o fragment.Owner, exists bool) {
	n := g.units[o]
	switch {
	case exists && n == nil:
		n = g.add(o)
		n.root = true
	case exists:
		n.root = true
		g.mark(n)
	case n != nil:
		n.root = false
		g.orphan(n)
	}
}

func (g *graph) add(o fragment.Owner) *unit {
	n := &unit{owner: o}
	g.units[o] = n
	g.mark(n)
	if isRoot(o.Kind) {
		g.touch(onFacts(o)) // those who looked for it in vain
	}
	return n
}

// need returns another unit, translated.
func (g *graph) need(o fragment.Owner) *unit {
	n := g.units[o]
	if n == nil {
		n = g.add(o)
	}
	g.evaluate(n)
	return n
}

func (g *graph) mark(n *unit) {
	if !n.isDirty && !n.gone {
		n.isDirty = true
		g.dirty = append(g.dirty, n)
	}
}

func (g *graph) markAll() {
	for _, n := range g.units {
		g.mark(n)
	}
}

// settle translates what has to be translated until nothing changes any more.
func (g *graph) settle() {
	for len(g.dirty) > 0 || len(g.orphans) > 0 {
		for len(g.dirty) > 0 {
			n := g.dirty[0]
			g.dirty = g.dirty[1:]
			g.evaluate(n)
		}
		orphans := g.orphans
		g.orphans = nil
		for _, n := range orphans {
			g.collect(n)
		}
	}
	g.dirty = nil
	g.resolve()
}

// evaluate translates a unit if it is dirty. Units never depend on themselves:
// Ingresses refer to backends, certificates and plugins, backends and consumers
// to plugins, and these to nobody.
func (g *graph) evaluate(n *unit) {
	if !n.isDirty || n.running || n.gone {
		return
	}
	n.isDirty, n.running = false, true
	defer func() { n.running = false }()

	g.store.translations++
	r := g.recorder(n)
	subject := r.subject()
	result := g.translate(n.owner, r)
	if r.pending {
		g.await(n, r)
		return
	}
	n.lastGood = false
	if result.Invalid {
		result, subject = g.fallBack(n, r, result, subject)
		if r.pending {
			g.await(n, r)
			return
		}
	} else {
		n.good, n.goodResult = subject, result
		if !usable(result) {
			n.good, n.goodResult = nil, fragment.Result{} // nothing to come back to
		}
		delete(g.restored, n.owner)
	}
	if pluginsOf(n.object) != pluginsOf(subject) { // which is published, also if it changes no entity
		g.changed[n.owner] = struct{}{}
	}
	n.pending, n.problems, n.object = false, result.Problems, subject
	g.replace(n, r.deps, result)
}

// usable reports whether a result is more than the news that there is none: a
// plugin whose Secret is gone has no template.
func usable(r fragment.Result) bool {
	f, ok := r.Facts.(fragment.PluginFacts)
	return !ok || f.Template != nil
}

func (g *graph) recorder(n *unit) *recorder {
	return &recorder{g: g, self: n.owner, deps: make([]*thing, 0, max(len(n.deps), 8))}
}

// await keeps what the unit has until the Secrets it needs have been read.
func (g *graph) await(n *unit, r *recorder) {
	n.pending = true
	g.setDeps(n, append(r.deps, n.deps...))
	g.summary.set(n)
}

// fallBack returns the last good version of an invalid object, made with what
// it refers to now: what is gone or was revoked is gone for it too. If that
// does not work either, because a Secret's content is wrong, the last good
// outcome stays as it was.
func (g *graph) fallBack(n *unit, r *recorder, bad fragment.Result, now client.Object) (fragment.Result, client.Object) {
	if now == nil {
		return bad, now
	}
	old, known := g.restored[n.owner]
	known = known && old.uid == now.GetUID()
	good, result := n.good, n.goodResult
	if known && good == nil {
		good = old.version(now)
	}
	again := g.recorder(n)
	switch {
	case good != nil && good.GetUID() == now.GetUID():
		again.instead = good
		if fine := g.translate(n.owner, again); !fine.Invalid && !again.pending {
			n.good, n.goodResult, result = good, fine, fine
		}
	case known && isRoute(n.owner.Kind):
		good, result = now, old.revive(n.owner, now, again)
	default:
		good = nil
	}
	r.deps = append(r.deps, again.deps...)
	if n.good == nil && good != nil && again.pending {
		r.pending = true // there is no outcome yet
	}
	if n.lastGood = good != nil && (n.good != nil || isRoute(n.owner.Kind)); n.lastGood {
		result.Problems = withServing(bad.Problems, result.Problems)
		result.Facts = factsWithServing(bad.Facts, result.Facts)
		return result, good
	}
	// There is no earlier version: what is invalid is left out.
	return fragment.Result{Problems: bad.Problems, Claims: ofPlugins(bad.Claims), Facts: bad.Facts}, now
}

// withServing returns the problems of an invalid version, and those of the
// earlier one that serves in its place as far as they are others.
func withServing(bad, serving []fragment.Problem) []fragment.Problem {
	all := slices.Clip(bad)
	for _, p := range serving {
		if !slices.Contains(bad, p) {
			p.Message = "the last valid version, which goes on serving: " + p.Message
			all = append(all, p)
		}
	}
	return all
}

// factsWithServing returns the facts of an earlier version that serves; those of
// a policy also say what is wrong with the newest one.
func factsWithServing(bad, serving any) any {
	policy, ok := bad.(fragment.PolicyFacts)
	if !ok {
		return serving
	}
	good, _ := serving.(fragment.PolicyFacts)
	policy.Policy, policy.Upstream, policy.LastGood = good.Policy, good.Upstream, true
	return policy
}

// ofPlugins returns the claims of an object that is left out which still count:
// that it refers to a plugin. A plugin that consumers share with one route is not
// meant for all their requests while that route is invalid.
func ofPlugins(claims []fragment.Claim) []fragment.Claim {
	var kept []fragment.Claim
	for _, c := range claims {
		if c.Scope == fragment.ClaimPluginOnRoute || c.Scope == fragment.ClaimPluginOnService {
			kept = append(kept, c)
		}
	}
	return kept
}

// replace puts a new result in the place of the old one and marks everyone who
// has looked at something that is now different.
func (g *graph) replace(n *unit, deps []*thing, result fragment.Result) {
	old := n.result
	n.result = result
	g.forgetTemplate(old.Facts, result.Facts)
	if s := g.store.objects.byKey[subjectOf(n.owner)]; s != nil {
		created := s.GetCreationTimestamp().Time
		if !created.Equal(n.created) {
			g.setClaims(n, old.Claims, nil)
			g.holders.replace(n, old.Entities, nil)
			g.holders.replace(n, nil, old.Entities)
			old.Claims = nil
			n.created = created
		}
	}
	g.setDeps(n, deps)
	g.setClaims(n, old.Claims, result.Claims)
	if (old.Facts != nil || result.Facts != nil) && !reflect.DeepEqual(old.Facts, result.Facts) {
		g.touch(onFacts(n.owner))
		if isPolicy(n.owner.Kind) { // which is published without entities
			g.changed[n.owner] = struct{}{}
		}
	}
	if len(old.Entities) != len(result.Entities) || len(old.Entities) > 0 && !reflect.DeepEqual(old.Entities, result.Entities) {
		g.changed[n.owner] = struct{}{}
		g.holders.replace(n, old.Entities, result.Entities)
	}
	g.summary.set(n)
}

// forgetTemplate lets go of what was found of a template that is not in use any
// more.
func (g *graph) forgetTemplate(old, now any) {
	was, ok := old.(fragment.PluginFacts)
	if is, _ := now.(fragment.PluginFacts); ok && was.Template != is.Template {
		delete(g.checked, was.Template)
	}
}

// setClaims replaces a unit's claims. To be the only claimant of something means
// the same to a unit as that there is none: nearly every unit claims what it has
// just looked at, and need not look again.
func (g *graph) setClaims(n *unit, old, now []fragment.Claim) {
	if slices.Equal(old, now) {
		return
	}
	for _, c := range old {
		if !slices.Contains(now, c) {
			g.touchClaim(keyOfClaim(c), g.claims.remove(keyOfClaim(c), n.claimant(c)), nil)
		}
	}
	for _, c := range now {
		if !slices.Contains(old, c) {
			change, but := g.claims.add(keyOfClaim(c), n.claimant(c)), n
			if !change.any {
				but = nil
			}
			g.touchClaim(keyOfClaim(c), change, but)
		}
	}
}

func (n *unit) claimant(c fragment.Claim) fragment.Claimant {
	return fragment.Claimant{Owner: n.owner, Created: n.created, Data: c.Data}
}

// touchClaim marks all units but one that have looked at what changed of a claim.
func (g *graph) touchClaim(key claimKey, c claimChange, but *unit) {
	if c.all {
		g.touchBut(onClaim(viewClaimAll, key), but)
	}
	if c.first {
		g.touchBut(onClaim(viewClaimFirst, key), but)
	}
	if c.any {
		g.touchBut(onClaim(viewClaimAny, key), but)
	}
}

// orphan has a unit looked at again once everything is translated: nobody may
// refer to it any more.
func (g *graph) orphan(n *unit) { g.orphans = append(g.orphans, n) }

// collect removes a unit that has no reason to exist.
func (g *graph) collect(n *unit) {
	if n.gone || n.root || (!isRoot(n.owner.Kind) && g.read(onFacts(n.owner))) {
		return
	}
	n.gone = true
	delete(g.units, n.owner)
	g.setClaims(n, n.result.Claims, nil)
	g.setDeps(n, nil)
	g.forgetTemplate(n.result.Facts, nil)
	if n.result.Facts != nil {
		g.touch(onFacts(n.owner))
	}
	if len(n.result.Entities) > 0 {
		g.holders.replace(n, n.result.Entities, nil)
	}
	g.changed[n.owner] = struct{}{}
	g.summary.remove(n.owner)
}
