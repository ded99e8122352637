// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// BehindAfter is how long a proxy may lack the newest snapshot before that
// counts: OnChange is called when a proxy crosses it.
const BehindAfter = 10 * time.Second

// Facts is what is known about a gateway's proxies.
type Facts struct {
	// Position and Hash are those of the newest published snapshot.
	Position configsync.Position
	Hash     configsync.Hash
	// Connected proxies have a stream; Programmed ones hold the newest snapshot.
	Connected  int
	Programmed int
	// BehindSince is the earliest of the proxies', zero when all are programmed.
	BehindSince time.Time
	// Rejections and Omissions are those of all proxies, sorted by key.
	Rejections []Rejection
	Omissions  []Omission
	// Proxies are sorted by pod name.
	Proxies []Proxy
}

// Rejection is what some proxies leave out, and how many of them do.
type Rejection struct {
	configsync.Rejection
	Proxies int
}

// Omission is what some proxies are not sent because their version does not
// know it, and how many proxies that are.
type Omission struct {
	Key     entity.Key
	Field   string
	Reason  string
	Proxies int
}

// Proxy is what is known about one proxy.
type Proxy struct {
	Identity  Identity
	Node      string
	Version   string
	Connected time.Time
	// Position is the last one acknowledged on any stream, as far as known.
	Position    configsync.Position
	Programmed  bool
	BehindSince time.Time // zero when programmed
	Rejected    int
	Report      configsync.Report
	LastError   string // why its previous stream ended, as it says
}

// Behind reports whether the proxy lacks the newest snapshot for so long that
// it counts.
func (p Proxy) Behind(now time.Time) bool {
	return !p.BehindSince.IsZero() && now.Sub(p.BehindSince) >= BehindAfter
}

// facts is called with the hub locked.
func (h *hub) facts() Facts {
	f := Facts{Connected: len(h.sessions)}
	if h.current != nil {
		f.Position, f.Hash = h.current.Position, h.current.Records.Hash()
	}
	rejections := make(map[configsync.Rejection]int)
	for _, s := range h.sessions {
		p := s.facts()
		f.Proxies = append(f.Proxies, p)
		if p.Programmed {
			f.Programmed++
		}
		if !p.BehindSince.IsZero() && (f.BehindSince.IsZero() || p.BehindSince.Before(f.BehindSince)) {
			f.BehindSince = p.BehindSince
		}
		for _, r := range s.machine.rejected {
			rejections[r]++
		}
	}
	for r, n := range rejections {
		f.Rejections = append(f.Rejections, Rejection{r, n})
	}
	f.Omissions = h.omissions()
	slices.SortFunc(f.Proxies, func(a, b Proxy) int { return cmp.Compare(a.Identity.PodName, b.Identity.PodName) })
	slices.SortFunc(f.Rejections, func(a, b Rejection) int {
		return cmp.Or(compareKeys(a.Key, b.Key), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason))
	})
	return f
}

func (h *hub) omissions() []Omission {
	counts := make(map[Omission]int)
	for _, v := range h.views {
		for _, list := range v.omissions {
			for _, o := range list {
				counts[Omission{Key: o.Record.Key, Field: o.Field, Reason: o.Reason}] += v.users
			}
		}
	}
	out := make([]Omission, 0, len(counts))
	for o, n := range counts {
		o.Proxies = n
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b Omission) int {
		return cmp.Or(compareKeys(a.Key, b.Key), cmp.Compare(a.Field, b.Field))
	})
	return out
}

func compareKeys(a, b entity.Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
}
