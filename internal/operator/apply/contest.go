// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// How often one path may be taken back from another manager before we step aside, and for how long.
const (
	maxRetakes    = 3
	retakeWindow  = 10 * time.Minute
	contestedHold = 10 * time.Minute
)

// Contested is a field that another manager keeps changing back; it is left alone until Until.
type Contested struct {
	Object  string // kind and name
	Path    string
	Manager string
	Until   time.Time
}

// record is what is remembered about one object since this process started.
type record struct {
	renderedHash uint64 // of the last rendering that we wrote
	written      string // resourceVersion that the last write made: a cache that shows an older one is stale
	retakes      map[string][]time.Time
	held         map[string]hold
}

type hold struct {
	path    fieldpath.Path
	manager string
	until   time.Time
}

// memory keeps a record per live object, grouped by gateway so that a gone gateway is forgotten at once.
// Safe for concurrent use.
type memory struct {
	mu       sync.Mutex
	gateways map[types.UID]map[types.UID]*record
}

func (m *memory) of(gateway, object types.UID) *record {
	if m.gateways == nil {
		m.gateways = map[types.UID]map[types.UID]*record{}
	}
	objects := m.gateways[gateway]
	if objects == nil {
		objects = map[types.UID]*record{}
		m.gateways[gateway] = objects
	}
	r := objects[object]
	if r == nil {
		r = &record{}
		objects[object] = r
	}
	return r
}

// stale reports whether live is older than our last write, which has not come back through the cache yet.
func (m *memory) stale(gateway types.UID, live *unstructured.Unstructured) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Older(live.GetResourceVersion(), m.of(gateway, live.GetUID()).written)
}

// Older reports whether one resource version of an object is older than another. Resource versions that are no numbers,
// or missing, are not older: Kubernetes orders them since 1.35.
func Older(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}

// wrote remembers a write, the object that it made, and the changes that it was made because of.
// A change is a retake when nothing else about the rendering changed since our last write and another manager holds
// the path.
func (m *memory) wrote(gateway types.UID, made, rendered *unstructured.Unstructured, changed []Change, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.of(gateway, made.GetUID())
	hash := hashOf(rendered)
	if r.renderedHash == hash {
		for _, c := range changed {
			r.retaken(c, now)
		}
	}
	r.written, r.renderedHash = made.GetResourceVersion(), hash
}

func (m *memory) forget(gateway types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.gateways, gateway)
}

// contest returns the paths that must be left alone for now: those that were retaken maxRetakes times within
// retakeWindow and have been changed again.
func (m *memory) contest(gateway types.UID, live, rendered *unstructured.Unstructured, changed []Change, now time.Time) []hold {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.of(gateway, live.GetUID())
	for path, h := range r.held {
		if !now.Before(h.until) {
			delete(r.held, path)
		}
	}
	if r.renderedHash == hashOf(rendered) || len(r.held) > 0 {
		for _, c := range changed {
			r.stepAside(c, now)
		}
	}
	holds := make([]hold, 0, len(r.held))
	for _, h := range r.held {
		holds = append(holds, h)
	}
	slices.SortFunc(holds, func(a, b hold) int { return cmp.Compare(a.path.String(), b.path.String()) })
	return holds
}

// stepAside starts to hold a path that was retaken too often.
func (r *record) stepAside(c Change, now time.Time) {
	if _, held := r.held[c.Path]; held || c.Holder == "" || len(recent(r.retakes[c.Path], now)) < maxRetakes {
		return
	}
	if r.held == nil {
		r.held = map[string]hold{}
	}
	r.held[c.Path] = hold{path: c.path, manager: c.Holder, until: now.Add(contestedHold)}
	delete(r.retakes, c.Path)
}

// retaken counts one retake; a change of a path that we still own is none.
func (r *record) retaken(c Change, now time.Time) {
	if c.Holder == "" {
		return
	}
	if r.retakes == nil {
		r.retakes = map[string][]time.Time{}
	}
	r.retakes[c.Path] = append(recent(r.retakes[c.Path], now), now)
}

func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= retakeWindow })
}

func hashOf(o *unstructured.Unstructured) uint64 {
	h := fnv.New64a()
	// Marshalling sorts map keys, so equal renderings have equal bytes.
	b, err := o.MarshalJSON()
	if err != nil {
		return 0
	}
	_, _ = h.Write(b)
	return h.Sum64()
}
