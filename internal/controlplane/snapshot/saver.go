// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"

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
}

// NewSaver returns a saver; Run makes it work.
func NewSaver(export func() shard.Snapshot, write func(context.Context, [][]byte) error, done func(error)) *Saver {
	return &Saver{Export: export, Write: write, Done: done, changed: make(chan struct{}, 1)}
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
		if ctx.Err() == nil {
			s.Done(err)
		}
		return err
	})
}

func (s *Saver) save(ctx context.Context) error {
	shards, err := shard.Encode(s.Export(), shard.SecretLimits)
	if err != nil {
		return err
	}
	return s.Write(ctx, shards)
}
