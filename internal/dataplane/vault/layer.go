// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Options are what a Layer works with.
type Options struct {
	Settings Settings
	Schemas  entity.SchemaSet
	Logger   *slog.Logger
	// Lookup reads the environment, Now the clock.
	Lookup func(name string) (string, bool)
	Now    func() time.Time
}

// Layer stands between a configuration with references and the data plane,
// which gets values. It remembers the entities that hold references. It is not
// safe for concurrent use.
type Layer struct {
	options Options
	values  *values
	state   *state
	next    time.Time // when a value is to be read again, zero for never
}

// state is what is known of the running configuration.
type state struct {
	vaults   map[entity.ID]*entity.Vault
	byPrefix map[string]*entity.Vault
	// refused are the vaults that cannot be used.
	refused map[entity.ID]entity.Problem
	held    map[entity.Key]*held
}

func newState() *state {
	return &state{
		vaults: map[entity.ID]*entity.Vault{}, byPrefix: map[string]*entity.Vault{},
		refused: map[entity.ID]entity.Problem{}, held: map[entity.Key]*held{},
	}
}

// New returns a Layer of an empty configuration.
func New(o Options) *Layer {
	if o.Settings.Interval == 0 {
		o.Settings.Interval = defaultInterval
	}
	return &Layer{
		options: o,
		values:  &values{sources: sources{lookup: o.Lookup, root: o.Settings.Root}, now: o.Now, known: map[secret]*value{}},
		state:   newState(),
	}
}

// Prepared is a whole configuration with values, which does not run yet.
type Prepared struct {
	// Set is what the data plane runs: no vaults, and no entity that cannot be
	// used for lack of a value but what answers in its stead.
	Set *entity.Set

	layer *Layer
	state *state
}

// Prepare puts values into a whole configuration. The set is not changed.
func (l *Layer) Prepare(set *entity.Set) *Prepared {
	next := newState()
	for _, v := range set.Vaults {
		l.putVault(next, v)
	}
	out := *set
	out.Vaults = nil
	out.Plugins = within(l, next, set.Plugins)
	out.Certificates = within(l, next, set.Certificates)
	out.Credentials = within(l, next, set.Credentials)
	return &Prepared{Set: &out, layer: l, state: next}
}

// within returns a list with values, the same one when it holds no references.
func within[E entity.Entity](l *Layer, next *state, list []E) []E {
	var out []E
	for i, e := range list {
		key := entity.KeyOf(e)
		h := l.hold(next, e, l.state.held[key])
		if h != nil && out == nil {
			out = append(make([]E, 0, len(list)), list[:i]...)
		}
		switch {
		case h == nil && out != nil:
			out = append(out, e)
		case h != nil:
			next.held[key] = h
			if given, ok := h.given.(E); ok {
				out = append(out, given)
			}
		}
	}
	if out == nil {
		return list
	}
	return out
}

// Problems returns what cannot be used, by kind and id.
func (p *Prepared) Problems() []entity.Problem { return p.state.problems() }

// Publish makes the configuration the one that the Layer remembers.
func (p *Prepared) Publish() {
	p.layer.state = p.state
	p.layer.settle()
}

// Hide is that of the Layer, for the prepared configuration.
func (p *Prepared) Hide(key entity.Key, message string) string { return p.state.hide(key, message) }

// Update returns a change as the data plane gets it: with values, without
// vaults, and with the entities whose vault changes. Its cost depends on the
// change, as long as that is not about references.
func (l *Layer) Update(d entity.Delta) entity.Delta {
	touched := l.takeVaults(d)
	out := entity.Delta{Put: make([]entity.Entity, 0, len(d.Put)), Removed: make([]entity.Key, 0, len(d.Removed))}
	concerned := len(touched) > 0
	seen := map[entity.Key]bool{}
	for _, key := range d.Removed {
		if key.Kind != entity.KindVault {
			concerned = l.drop(key) || concerned
			out.Removed = append(out.Removed, key)
		}
	}
	for _, e := range d.Put {
		if e.EntityKind() == entity.KindVault {
			continue
		}
		key := entity.KeyOf(e)
		if h := l.hold(l.state, e, l.state.held[key]); h != nil {
			l.state.held[key], seen[key], concerned = h, true, true
			h.addTo(&out)
			continue
		}
		concerned = l.drop(key) || concerned
		out.Put = append(out.Put, e)
	}
	if !concerned {
		return out
	}
	for key, h := range l.state.held {
		if !seen[key] && h.uses(touched) {
			l.renew(key, h, &out)
		}
	}
	l.settle()
	return out
}

// drop forgets an entity and reports whether it was held.
func (l *Layer) drop(key entity.Key) bool {
	_, ok := l.state.held[key]
	delete(l.state.held, key)
	return ok
}

// takeVaults takes in the vaults of a change and returns the prefixes that mean
// something else than before.
func (l *Layer) takeVaults(d entity.Delta) map[string]bool {
	touched := map[string]bool{}
	remove := func(id entity.ID) {
		delete(l.state.refused, id)
		if old := l.state.vaults[id]; old != nil {
			touched[old.Prefix] = true
			delete(l.state.vaults, id)
			if l.state.byPrefix[old.Prefix] == old {
				delete(l.state.byPrefix, old.Prefix)
			}
		}
	}
	for _, key := range d.Removed {
		if key.Kind == entity.KindVault {
			remove(key.ID)
		}
	}
	for _, e := range d.Put {
		if v, ok := e.(*entity.Vault); ok {
			remove(v.ID)
			l.putVault(l.state, v)
			touched[v.Prefix] = true
		}
	}
	return touched
}

func (l *Layer) putVault(s *state, v *entity.Vault) {
	if problems := entity.CheckEntity(v, l.options.Schemas); len(problems) > 0 {
		s.refused[v.ID] = problems[0]
		return
	}
	s.vaults[v.ID], s.byPrefix[v.Prefix] = v, v
}

// Refresh reads values again whose time has come and returns what changes for
// the data plane.
func (l *Layer) Refresh() entity.Delta {
	var out entity.Delta
	now := l.options.Now()
	for key, h := range l.state.held {
		if due, ok := l.due(h); ok && !now.Before(due) {
			l.renew(key, h, &out)
		}
	}
	l.settle()
	return out
}

// renew looks at the values of an entity again and adds to out what that
// changes.
func (l *Layer) renew(key entity.Key, was *held, out *entity.Delta) {
	h := l.hold(l.state, was.raw, was)
	l.state.held[key] = h
	l.report(was, h)
	if !reflect.DeepEqual(was.given, h.given) {
		h.addTo(out)
	}
}

// report says in the log what became of an entity's values.
func (l *Layer) report(was, is *held) {
	log := l.options.Logger.With("kind", is.raw.EntityKind(), "id", is.raw.EntityID(), "name", entity.NameOf(is.raw))
	if is.good != nil && was.good != nil && is.trouble == "" && !reflect.DeepEqual(was.given, is.given) {
		log.Info("secrets changed", "references", is.texts())
	}
	if is.trouble != was.trouble && is.trouble != "" {
		log.Warn("secrets cannot be refreshed", "reason", is.trouble, "last_value_goes_on", is.problem == nil)
	}
	if was.trouble != "" && is.trouble == "" {
		log.Info("secrets are available again", "references", is.texts())
	}
}

// Due returns when Refresh has something to do; ok is false for never.
func (l *Layer) Due() (at time.Time, ok bool) { return l.next, !l.next.IsZero() }

func (l *Layer) due(h *held) (at time.Time, ok bool) {
	for _, s := range h.secrets {
		if e := l.values.known[s]; e != nil && !e.next.IsZero() && (!ok || e.next.Before(at)) {
			at, ok = e.next, true
		}
	}
	return at, ok
}

// settle drops values that nothing uses any more and notes when the next is to
// be read.
func (l *Layer) settle() {
	used := map[secret]bool{}
	l.next = time.Time{}
	for _, h := range l.state.held {
		for _, s := range h.secrets {
			used[s] = true
		}
		if at, ok := l.due(h); ok && (l.next.IsZero() || at.Before(l.next)) {
			l.next = at
		}
	}
	l.values.retain(used)
}

// Problems returns what cannot be used now, by kind and id.
func (l *Layer) Problems() []entity.Problem { return l.state.problems() }

func (s *state) problems() []entity.Problem {
	var out []entity.Problem
	for _, p := range s.refused {
		out = append(out, p)
	}
	for _, h := range s.held {
		if h.problem != nil {
			out = append(out, *h.problem)
		}
	}
	slices.SortFunc(out, func(a, b entity.Problem) int {
		return strings.Compare(fmt.Sprint(a.Key, a.Field), fmt.Sprint(b.Key, b.Field))
	})
	return out
}

// Hide returns a message about an entity without the values of its references.
func (l *Layer) Hide(key entity.Key, message string) string { return l.state.hide(key, message) }

func (s *state) hide(key entity.Key, message string) string {
	if h := s.held[key]; h != nil && h.leaks(message) {
		return "the values of " + strings.Join(h.texts(), ", ") + " cannot be used"
	}
	return message
}
