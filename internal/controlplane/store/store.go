// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"sync"

	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Store keeps objects and translates them for each gateway. It is safe for
// concurrent use. Objects given to it are shared and must not be changed.
type Store struct {
	schemas entity.SchemaSet
	wake    chan struct{}

	mu           sync.Mutex
	objects      objects
	secrets      secrets
	graphs       map[types.NamespacedName]*graph
	translations uint64
}

// New returns an empty store. schemas are the plugins that gateways can run.
func New(schemas entity.SchemaSet) *Store {
	return &Store{
		schemas: schemas, wake: make(chan struct{}, 1),
		objects: newObjects(), secrets: newSecrets(), graphs: make(map[types.NamespacedName]*graph),
	}
}

// Wake receives when there may be something to deliver, or a Secret to read.
func (s *Store) Wake() <-chan struct{} { return s.wake }

func (s *Store) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Set adds or replaces an object. Versions that differ in nothing that matters
// change nothing. Secrets are not given here: see WantedSecrets.
func (s *Store) Set(o client.Object) {
	key, ok := KeyOf(o)
	if !ok || key.Kind == KindSecret {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.objects.byKey[key]
	s.objects.byKey[key] = o
	if old != nil && sameForTranslation(old, o) {
		return
	}
	if old != nil {
		s.objects.index(old, false)
	}
	s.objects.index(o, true)
	s.changed(key, old, o)
}

// Delete removes an object, given in any version.
func (s *Store) Delete(o client.Object) {
	key, ok := KeyOf(o)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

// Forget removes all objects of a kind: its CRD is gone.
func (s *Store) Forget(kind Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.objects.byKey {
		if key.Kind == kind {
			s.remove(key)
		}
	}
}

func (s *Store) remove(key Key) {
	old := s.objects.byKey[key]
	if old == nil {
		return
	}
	delete(s.objects.byKey, key)
	s.objects.index(old, false)
	s.changed(key, old, nil)
}

// changed marks what a change of an object touches. old or now is nil.
func (s *Store) changed(key Key, old, now client.Object) {
	switch key.Kind {
	case KindIngressClass:
		s.classChanged(key.Name)
		return
	case KindIngressClassParameters:
		s.parametersChanged()
		return
	}
	for _, g := range s.graphs {
		for _, o := range []client.Object{old, now} {
			if o == nil {
				continue
			}
			if owner, ok := rootOwner(key, o); ok {
				g.setRoot(owner, s.rooted(g, owner, key, now))
			}
		}
	}
	for _, o := range []client.Object{old, now} {
		switch o := o.(type) {
		case nil:
		case *discoveryv1.EndpointSlice:
			s.touchObject(sliceService(o))
		default:
			if key.Kind == KindReferenceGrant {
				s.touch(onGrants(key.Namespace))
			}
			s.touchObject(key)
		}
	}
	s.notify()
}

// rooted reports whether the object's current version, if any, makes the unit
// exist in the gateway.
func (s *Store) rooted(g *graph, owner fragment.Owner, key Key, now client.Object) bool {
	if now == nil {
		return false
	}
	o, ok := rootOwner(key, now)
	return ok && o == owner && owns(g.settings, now)
}

func (s *Store) touchObject(key Key) { s.touch(onObject(key)) }

func (s *Store) touch(d dependency) {
	for _, g := range s.graphs {
		g.touch(d)
	}
	s.notify()
}

// classChanged looks again whether a class is the default one.
func (s *Store) classChanged(class string) {
	for _, g := range s.graphs {
		if g.settings.Class == class {
			s.configure(g, g.settings)
		}
	}
}

// parametersChanged looks again what the classes' parameters say.
func (s *Store) parametersChanged() {
	for _, g := range s.graphs {
		s.configure(g, g.settings)
	}
}

// SetGateway adds a gateway or changes its settings; what depends on the
// IngressClass is found out by the store.
func (s *Store) SetGateway(key types.NamespacedName, settings fragment.Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.graphs[key]
	if g == nil {
		g = newGraph(s, fragment.Settings{})
		s.graphs[key] = g
	}
	s.configure(g, settings)
}

// Restore gives a gateway the fragments that a predecessor published, before
// its first delivery: objects that are invalid by now go on as they were.
func (s *Store) Restore(key types.NamespacedName, fragments []fragment.Fragment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.graphs[key]; g != nil {
		g.restore(fragments)
		g.markAll()
		s.notify()
	}
}

// RemoveGateway forgets a gateway.
func (s *Store) RemoveGateway(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.graphs[key]
	if g == nil {
		return
	}
	delete(s.graphs, key)
	for d := range g.things {
		if key, ok := d.secret(); ok {
			s.unreadSecret(key)
		}
	}
}

// configure applies settings: everything is translated again, and the objects
// of the class are looked for.
func (s *Store) configure(g *graph, settings fragment.Settings) {
	class, _ := s.objects.byKey[Key{KindIngressClass, "", settings.Class}].(*netv1.IngressClass)
	parameters := s.parameters(class)
	settings.DefaultClass = IsDefault(class)
	settings.ServiceUpstream = parameters.ServiceUpstream
	settings.LegacyRegexDetection = parameters.EnableLegacyRegexDetection
	if g.settings == settings {
		return
	}
	g.settings = settings
	g.markAll()
	for key, o := range s.objects.byKey {
		if owner, ok := rootOwner(key, o); ok {
			g.setRoot(owner, owns(settings, o))
		}
	}
	s.notify()
}

// parameters returns what the IngressClassParameters of a class say.
func (s *Store) parameters(class *netv1.IngressClass) kongv1alpha1.IngressClassParametersSpec {
	if name, ok := ParametersOf(class); ok {
		if p, ok := s.objects.byKey[Key{KindIngressClassParameters, name.Namespace, name.Name}].(*kongv1alpha1.IngressClassParameters); ok {
			return p.Spec
		}
	}
	return kongv1alpha1.IngressClassParametersSpec{}
}

func compareNames(a, b types.NamespacedName) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// Translations returns how many units have been translated so far: a measure
// of the work that changes cost.
func (s *Store) Translations() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.translations
}

// Size says how much a store holds. It goes back to what it was when changes
// are taken back.
type Size struct {
	Objects, Secrets int
	// Units, Dependencies (things that units have looked at), Claims, Entities
	// and Templates of plugins are those of all gateways.
	Units, Dependencies, Claims, Entities, Templates int
}

// Size returns how much the store holds.
func (s *Store) Size() Size {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := Size{Objects: len(s.objects.byKey), Secrets: len(s.secrets.entries)}
	for _, g := range s.graphs {
		size.Units += len(g.units)
		size.Dependencies += len(g.things)
		size.Claims += len(g.claims)
		size.Entities += len(g.holders.one)
		size.Templates += len(g.checked)
	}
	return size
}
