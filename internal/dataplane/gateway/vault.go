// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/vault"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// secrets are the values of vault references. The lock is held by whoever
// changes what runs, so that changes and new values take turns.
type secrets struct {
	sync.Mutex
	layer *vault.Layer
	timer *time.Timer
	ended bool
}

// minRefresh keeps a vault with a tiny ttl from being read all the time.
const minRefresh = 100 * time.Millisecond

// watchSecrets sees to it that values are read again when it is time to. The
// caller holds the lock.
func (g *Gateway) watchSecrets() {
	if g.secrets.timer != nil {
		g.secrets.timer.Stop()
		g.secrets.timer = nil
	}
	if at, ok := g.secrets.layer.Due(); ok && !g.secrets.ended {
		g.secrets.timer = time.AfterFunc(max(time.Until(at), minRefresh), g.refreshSecrets)
	}
}

// refreshSecrets gives what runs the values that are new.
func (g *Gateway) refreshSecrets() {
	g.secrets.Lock()
	if g.secrets.ended {
		g.secrets.Unlock()
		return
	}
	before := g.secrets.layer.Problems()
	d := g.secrets.layer.Refresh()
	changed := !d.Empty() || len(before) != len(g.secrets.layer.Problems())
	if !d.Empty() {
		g.update(d)
	}
	g.watchSecrets()
	g.secrets.Unlock()
	if changed && g.secretsChanged != nil {
		g.secretsChanged()
	}
}

// endSecrets stops refreshing.
func (g *Gateway) endSecrets() {
	g.secrets.Lock()
	defer g.secrets.Unlock()
	g.secrets.ended = true
	g.watchSecrets()
}

// unusable returns problems as rejections.
func unusable(problems []entity.Problem) []pipeline.Rejection {
	var out []pipeline.Rejection
	for _, p := range problems {
		out = append(out, pipeline.Rejection{Key: p.Key, Name: p.Name, Field: p.Field, Reason: p.Message})
	}
	return out
}

// hidden returns rejections that show no value of a reference.
func hidden(rejected []pipeline.Rejection, hide func(entity.Key, string) string) []pipeline.Rejection {
	for i := range rejected {
		rejected[i].Reason = hide(rejected[i].Key, rejected[i].Reason)
	}
	return rejected
}
