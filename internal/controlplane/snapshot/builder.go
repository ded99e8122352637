// SPDX-License-Identifier: Apache-2.0

// Package snapshot merges the fragments of a gateway into the snapshot that its
// proxies hold. A change costs what it touches: records are kept in an
// immutable hashed map, of which every snapshot is a version.
package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// NextTerm returns the term under which a new leader publishes: above the one
// that the stored snapshot was published under, even if the Lease that counts
// the leaders was lost and starts from zero.
func NextTerm(leaseTransitions int64, stored configsync.Position) uint64 {
	return max(uint64(max(leaseTransitions, 0))+1, stored.Term+1)
}

// Builder holds one gateway's snapshot. It is safe for concurrent use.
type Builder struct {
	mu       sync.Mutex
	position configsync.Position
	last     configsync.Hash // of the snapshot at position
	edit     *content.Edit[*configsync.Record]
	records  configsync.Records
	parts    map[fragment.Owner]*part
	owners   map[entity.Key]*part
	scope    map[netip.AddrPort]configsync.ScopeEntry
}

// part is what one fragment brought.
type part struct {
	owner      fragment.Owner
	object     fragment.ObjectRef
	generation int64
	plugins    string
	spec       []byte
	lastGood   bool
	keys       []entity.Key
}

// NewBuilder returns an empty builder that publishes under a term.
func NewBuilder(term uint64) *Builder {
	return &Builder{
		position: configsync.Position{Term: term},
		edit:     configsync.Records{}.Edit(),
		parts:    make(map[fragment.Owner]*part),
		owners:   make(map[entity.Key]*part),
		scope:    make(map[netip.AddrPort]configsync.ScopeEntry),
	}
}

// Apply takes in the fragments that changed, each as a whole, and drops those
// that were removed. An entity may move from one fragment to another within a
// call. The store gives each entity to one fragment; the error names entities
// that could not be taken in although, everything else was.
func (b *Builder) Apply(changed []fragment.Fragment, removed []fragment.Owner) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	freed := make(map[entity.Key]struct{})
	for _, o := range removed {
		b.free(o, freed)
	}
	for i := range changed {
		b.free(changed[i].Owner, freed)
	}
	if len(b.parts) == 0 { // nearly everything comes at once
		b.makeRoom(changed)
	}
	var errs []error
	for i := range changed {
		errs = append(errs, b.put(&changed[i]))
	}
	for key := range freed {
		if _, taken := b.owners[key]; !taken {
			b.edit.Delete(configsync.KeyDigest(key))
		}
	}
	return errors.Join(errs...)
}

// makeRoom is for a first lot of fragments, so that the maps need not grow to its
// size step by step.
func (b *Builder) makeRoom(first []fragment.Fragment) {
	entities := 0
	for i := range first {
		entities += len(first[i].Entities)
	}
	b.owners, b.parts = make(map[entity.Key]*part, entities), make(map[fragment.Owner]*part, len(first))
}

// free forgets a part and collects the keys that it owned.
func (b *Builder) free(o fragment.Owner, freed map[entity.Key]struct{}) {
	p := b.parts[o]
	if p == nil {
		return
	}
	for _, key := range p.keys {
		freed[key] = struct{}{}
		delete(b.owners, key)
	}
	delete(b.parts, o)
}

func (b *Builder) put(f *fragment.Fragment) error {
	p := &part{owner: f.Owner, object: f.Object, generation: f.Generation, plugins: f.Plugins, spec: f.Spec, lastGood: f.LastGood}
	p.keys = make([]entity.Key, 0, len(f.Entities))
	var errs []error
	for _, e := range f.Entities {
		key := entity.KeyOf(e)
		if other, taken := b.owners[key]; taken {
			errs = append(errs, fmt.Errorf("%s: %s %s already belongs to %s", f.Owner, key.Kind, key.ID, other.owner))
			continue
		}
		r, err := configsync.NewRecord(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Owner, err))
			continue
		}
		b.owners[key] = p
		p.keys = append(p.keys, key)
		b.edit.Put(r.Entry())
	}
	b.parts[f.Owner] = p
	return errors.Join(errs...)
}

// SetDialPolicy sets the gateway's dial policy; nil removes it.
func (b *Builder) SetDialPolicy(p *configsync.DialPolicy) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p == nil {
		b.edit.Delete(configsync.KeyDigest(configsync.DialPolicyKey))
		return nil
	}
	r, err := configsync.NewDialPolicyRecord(*p)
	if err != nil {
		return err
	}
	b.edit.Put(r.Entry())
	return nil
}

// SetScope sets how the gateway's upstream addresses are covered by the egress
// scope. Addresses that scope lacks are not covered any more.
func (b *Builder) SetScope(scope map[netip.AddrPort]configsync.ScopeEntry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for addr := range b.scope {
		if _, stays := scope[addr]; !stays {
			delete(b.scope, addr)
			b.edit.Delete(configsync.KeyDigest(configsync.ScopeKey(addr)))
		}
	}
	for addr, e := range scope {
		if old, had := b.scope[addr]; had && old == e {
			continue
		}
		r, err := configsync.NewScopeRecord(addr, e)
		if err != nil {
			return err
		}
		b.scope[addr] = e
		b.edit.Put(r.Entry())
	}
	return nil
}

// Snapshot returns the present snapshot, and whether it is a new one: the
// sequence grows when, and only when, the content changed. The first snapshot
// is always new, also when it is empty.
func (b *Builder) Snapshot() (configsync.Snapshot, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot()
}

func (b *Builder) snapshot() (configsync.Snapshot, bool) {
	b.records = b.edit.Done()
	hash := b.records.Hash()
	fresh := b.position.Sequence == 0 || hash != b.last
	if fresh {
		b.position.Sequence++
		b.last = hash
	}
	return configsync.Snapshot{Position: b.position, Records: b.records}, fresh
}

// Raise makes the next snapshot follow a position that some proxy holds: for a
// leader that made sure that it leads. It does nothing when it follows already.
func (b *Builder) Raise(seen configsync.Position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.position.Compare(seen) <= 0 {
		b.position = configsync.Position{Term: seen.Term + 1}
	}
}

// Owner returns the fragment that an entity of the snapshot came with.
func (b *Builder) Owner(key entity.Key) (fragment.Owner, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.owners[key]
	if !ok {
		return fragment.Owner{}, false
	}
	return p.owner, true
}

// Export returns the present snapshot with the fragments it was made of, for
// the Secrets. It goes through everything.
func (b *Builder) Export() shard.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	snap, _ := b.snapshot()
	out := shard.Snapshot{Position: snap.Position, Records: snap.Records}
	for o, p := range b.parts {
		out.Owners = append(out.Owners, shard.Owner{
			Kind: string(o.Kind), Namespace: o.Namespace, Name: o.Name,
			Object: shard.Object{
				Group: p.object.Group, Version: p.object.Version, Kind: p.object.Kind,
				Namespace: p.object.Namespace, Name: p.object.Name, UID: string(p.object.UID),
			},
			Generation: p.generation, Plugins: p.plugins, Spec: p.spec, LastGood: p.lastGood, Entities: p.keys,
		})
	}
	slices.SortFunc(out.Owners, func(a, b shard.Owner) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// Restore returns the fragments that a predecessor published: the last good
// versions of objects that may be invalid by now. Entities that this build
// cannot read are left out and named by the error.
func Restore(s shard.Snapshot) ([]fragment.Fragment, error) {
	var errs []error
	out := make([]fragment.Fragment, 0, len(s.Owners))
	for _, o := range s.Owners {
		f := fragment.Fragment{
			Owner: fragment.Owner{Kind: fragment.OwnerKind(o.Kind), Namespace: o.Namespace, Name: o.Name},
			Object: fragment.ObjectRef{
				Group: o.Object.Group, Version: o.Object.Version, Kind: o.Object.Kind,
				Namespace: o.Object.Namespace, Name: o.Object.Name, UID: types.UID(o.Object.UID),
			},
			Generation: o.Generation, Plugins: o.Plugins, Spec: o.Spec, LastGood: o.LastGood,
		}
		for _, key := range o.Entities {
			found, ok := s.Records.Get(configsync.KeyDigest(key))
			if !ok {
				continue // Decode made sure that there are none such
			}
			e, err := configsync.DecodeEntity(found.Value)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", f.Owner, err))
				continue
			}
			f.Entities = append(f.Entities, e)
		}
		out = append(out, f)
	}
	return out, errors.Join(errs...)
}
