// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// UpstreamReport is an upstream that is in use, and its targets.
type UpstreamReport struct {
	Upstream *entity.Upstream
	Targets  []balancer.TargetReport
}

// Upstreams returns what is known of the health of every upstream that is
// balanced over, by name. It is safe for concurrent use.
func (e *Engine) Upstreams() []UpstreamReport {
	var out []UpstreamReport
	s := e.current.Load()
	if s == nil {
		return nil
	}
	for _, list := range s.byName.All() {
		last := list[len(list)-1]
		out = append(out, UpstreamReport{Upstream: last.complete, Targets: last.balancer.Report()})
	}
	slices.SortFunc(out, func(a, b UpstreamReport) int { return cmp.Compare(a.Upstream.Name, b.Upstream.Name) })
	return out
}
