// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Apply makes a configuration the running one and returns what of it cannot
// run.
func (g *Gateway) Apply(set *entity.Set) []pipeline.Rejection {
	g.secrets.Lock()
	defer g.secrets.Unlock()
	filled := g.secrets.layer.Prepare(set)
	rejected := merge(g.Engine.Apply(filled.Set), g.Streams.Apply(filled.Set))
	filled.Publish()
	g.watchSecrets()
	return merge(unusable(filled.Problems()), hidden(rejected, filled.Hide))
}

// ApplyWhole is Apply for a configuration that counts as a whole: when any of
// it cannot run, nothing changes.
func (g *Gateway) ApplyWhole(set *entity.Set) []pipeline.Rejection {
	g.secrets.Lock()
	defer g.secrets.Unlock()
	filled := g.secrets.layer.Prepare(set)
	if problems := filled.Problems(); len(problems) > 0 {
		return unusable(problems)
	}
	if rejected := g.applyWhole(filled.Set); len(rejected) > 0 {
		return hidden(rejected, filled.Hide)
	}
	filled.Publish()
	g.watchSecrets()
	return nil
}

// Check returns what of a configuration could not run here, whatever the values
// of its vault references are: they are not read. Nothing changes.
func (g *Gateway) Check(set *entity.Set) ([]pipeline.Rejection, error) {
	g.secrets.Lock()
	defer g.secrets.Unlock()
	blank, err := g.secrets.layer.Blank(set)
	if err != nil {
		return nil, err
	}
	prepared, rejected := g.Streams.Prepare(blank)
	prepared.Discard()
	return merge(g.Engine.Check(blank), rejected), nil
}

func (g *Gateway) applyWhole(set *entity.Set) []pipeline.Rejection {
	prepared, rejected := g.Streams.Prepare(set)
	if len(rejected) > 0 {
		prepared.Discard()
		return merge(g.Engine.Check(set), rejected)
	}
	if rejected := g.Engine.ApplyWhole(set); len(rejected) > 0 {
		prepared.Discard()
		return rejected
	}
	prepared.Publish()
	return nil
}

// Update makes a change of the running configuration and returns everything
// that cannot run then, not only what is new.
func (g *Gateway) Update(d entity.Delta) []pipeline.Rejection {
	g.secrets.Lock()
	defer g.secrets.Unlock()
	rejected := g.update(g.secrets.layer.Update(d))
	g.watchSecrets()
	return merge(unusable(g.secrets.layer.Problems()), hidden(rejected, g.secrets.layer.Hide))
}

func (g *Gateway) update(d entity.Delta) []pipeline.Rejection {
	return merge(g.Engine.Update(d), g.Streams.Update(d))
}

// merge adds to rejected what others say more: an entity that both halves need
// is rejected once.
func merge(rejected, others []pipeline.Rejection) []pipeline.Rejection {
	out := slices.Clip(rejected)
	for _, r := range others {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// Drain stops accepting and lets requests and sessions under way end until ctx
// does; then what is left is cut off, and the error is that of ctx. It is
// called once.
func (g *Gateway) Drain(ctx context.Context) error {
	g.endSecrets()
	streams := make(chan error, 1)
	go func() { streams <- g.Streams.Drain(ctx) }()
	err := g.Engine.Drain(ctx)
	return errors.Join(err, <-streams)
}
