// SPDX-License-Identifier: Apache-2.0

// Package responseratelimiting limits what answers of the upstream say they
// cost (https://docs.konghq.com/hub/kong-inc/response-ratelimiting/).
//
// Counters are kept by the process (policy local) or by a Redis server that a
// fleet shares (policy redis), under route and service of the instance.
package responseratelimiting

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/auth"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/ratelimit"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 900, Configure: configure}

const name = "response-ratelimiting"

// localKeys bounds the keys that policy local counts at a time.
const localKeys = 1 << 18

var slot = plugin.NewSlot("response-ratelimiting")

type config struct {
	HeaderName            string                    `json:"header_name"`
	LimitBy               string                    `json:"limit_by"`
	Policy                string                    `json:"policy"`
	FaultTolerant         bool                      `json:"fault_tolerant"`
	Redis                 ratelimit.RedisConfig     `json:"redis"`
	BlockOnFirstViolation bool                      `json:"block_on_first_violation"`
	HideClientHeaders     bool                      `json:"hide_client_headers"`
	Limits                map[string]map[string]any `json:"limits"`
}

// limiter is one instance.
type limiter struct {
	config
	scope  string
	limits []limit
	local  *ratelimit.Local
	redis  *ratelimit.Redis
	log    *slog.Logger
}

// limit is one named limit.
type limit struct {
	name    string
	periods ratelimit.Limits
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	l := &limiter{scope: ratelimit.ScopeOf(c.Plugin), log: c.Host.Logger(name)}
	if err := schema.Decode(c.Values, &l.config); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(l.Limits)) {
		l.limits = append(l.limits, limit{name, ratelimit.ParseLimits(l.Limits[name])})
	}
	phases := &plugin.Phases{Access: l.access, HeaderFilter: l.headerFilter, BodyFilter: bodyFilter, Log: l.count}
	if l.Policy != "redis" {
		l.local = c.Host.State(name, "local", func() any { return ratelimit.NewLocal(localKeys) }).(*ratelimit.Local)
		return phases, nil
	}
	l.redis = ratelimit.OpenRedis(c.Host, name, l.Redis)
	phases.Close, phases.Needs.MayBlock = l.redis.Close, true
	return phases, nil
}

// account is what an exchange knows about its limits, in their order.
type account struct {
	key     ratelimit.Key
	used    []ratelimit.Usage
	cost    []float64
	charge  bool // the answer counts
	refused bool // the answer is replaced by a 429
}

func (l *limiter) access(x plugin.Exchange) {
	now := x.Marks().Start
	a := &account{key: l.key(x), used: make([]ratelimit.Usage, len(l.limits)), cost: make([]float64, len(l.limits))}
	a.key.ID = x.Keep(a.key.ID)
	for i := range l.limits {
		used, err := l.usage(a.key, &l.limits[i], now)
		if err != nil {
			l.report(err)
			if !l.FaultTolerant {
				x.Exit(auth.Unexpected)
			}
			return
		}
		a.used[i] = used
	}
	if l.BlockOnFirstViolation {
		for i := range l.limits {
			if l.limits[i].remaining(&a.used[i]) <= 0 {
				x.Exit(plugin.Reply{Status: 429, Message: "API rate limit exceeded for '" + l.limits[i].name + "'"})
				return
			}
		}
	}
	x.SetValue(slot, a)
}

func (l *limiter) key(x plugin.Exchange) ratelimit.Key {
	k := ratelimit.Key{Scope: l.scope}
	switch l.LimitBy {
	case "consumer":
		return k.Consumer(x)
	case "credential":
		return k.Credential(x)
	default:
		return k.Address(x)
	}
}

func (l *limiter) usage(k ratelimit.Key, limit *limit, now time.Time) (ratelimit.Usage, error) {
	k.Name = limit.name
	if l.redis == nil {
		return l.local.Usage(k, &limit.periods, now), nil
	}
	return l.redis.Usage(context.Background(), k, &limit.periods, now)
}

// remaining returns the least that is left in any period.
func (l *limit) remaining(used *ratelimit.Usage) float64 {
	least, first := 0.0, true
	for p, limit := range l.periods.Each {
		if left := limit - used[p]; first || left < least {
			least, first = left, false
		}
	}
	return max(least, 0)
}

// count adds the cost of the answer.
func (l *limiter) count(x plugin.Exchange) {
	a, ok := x.Value(slot).(*account)
	if !ok || !a.charge {
		return
	}
	now := x.Marks().Start
	for i := range l.limits {
		if a.cost[i] == 0 {
			continue
		}
		k := a.key
		k.Name = l.limits[i].name
		if l.redis == nil {
			l.local.Add(k, &l.limits[i].periods, now, a.cost[i])
			continue
		}
		if err := l.redis.Add(context.Background(), k, &l.limits[i].periods, now, a.cost[i]); err != nil {
			l.report(err)
		}
	}
}

func (l *limiter) report(err error) {
	l.log.Error("counters are out of reach; check config.redis and the server", "host", l.Redis.Host, "port", l.Redis.Port, "error", err)
}
