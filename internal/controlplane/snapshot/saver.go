// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"context"
	"runtime/debug"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
)

// Saver writes a gateway's snapshot to its Secrets when it has been quiet.
type Saver struct {
	// Export returns the snapshot to write.
	Export func() shard.Snapshot
	// Write stores the shards, under SecretName and SecretKey of package shard;
	// Secrets past the last one are to be deleted. Shard 0 is written last.
	Write func(context.Context, [][]byte) error
	// Done is told how each write ended; *shard.TooLargeError when the snapshot
	// does not fit.
	Done func(error)

	changed chan struct{}
	stored  shard.Snapshot
}

// NewSaver returns a saver; Run makes it work. stored is what lies in the
// Secrets: the same content under another position is not written again, so
// that the next manager writes nothing for having come.
func NewSaver(stored shard.Snapshot, export func() shard.Snapshot, write func(context.Context, [][]byte) error, done func(error)) *Saver {
	return &Saver{Export: export, Write: write, Done: done, changed: make(chan struct{}, 1), stored: stored}
}

// Changed notes that the snapshot changed. It does not block.
func (s *Saver) Changed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends. A failed write is tried again when its time has
// come anew.
func (s *Saver) Run(ctx context.Context) {
	shard.Keep(ctx, shard.NewSchedule(), s.changed, func(struct{}) error {
		err := s.save(ctx)
		// Writing takes several times the snapshot, once a minute at most, and
		// the first time follows the start, which takes more. It is given back.
		debug.FreeOSMemory()
		if ctx.Err() == nil {
			s.Done(err)
		}
		return err
	})
}

func (s *Saver) save(ctx context.Context) error {
	snap := s.Export()
	if sameContent(s.stored, snap) {
		return nil
	}
	shards, err := shard.Encode(snap, shard.SecretLimits)
	if err != nil {
		return err
	}
	if err := s.Write(ctx, shards); err != nil {
		s.stored = shard.Snapshot{} // of which some shards may be overwritten
		return err
	}
	s.stored = snap
	return nil
}

// sameContent compares all but the positions. An empty snapshot may never have
// been stored.
func sameContent(a, b shard.Snapshot) bool {
	same := func(a, b shard.Owner) bool {
		entities := slices.Equal(a.Entities, b.Entities)
		return entities && a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name &&
			a.Object == b.Object && a.Generation == b.Generation && a.LastGood == b.LastGood && a.Plugins == b.Plugins && bytes.Equal(a.Spec, b.Spec)
	}
	return a.Records.Len() > 0 && a.Records.Hash() == b.Records.Hash() && slices.EqualFunc(a.Owners, b.Owners, same)
}
