// SPDX-License-Identifier: Apache-2.0

// Package ratelimiting limits requests per window of the UTC calendar
// (https://docs.konghq.com/hub/kong-inc/rate-limiting/).
//
// Counters are kept by the process (policy local) or by a Redis server that a
// fleet shares (policy redis). They belong to the route and service of the
// instance, not to its id or config, so that a reload keeps them.
package ratelimiting

import (
	"context"
	"log/slog"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/ratelimit"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 910, Configure: configure}

const name = "rate-limiting"

// localKeys bounds the keys that policy local counts at a time.
const localKeys = 1 << 18

type config struct {
	LimitBy           string                `json:"limit_by"`
	HeaderName        string                `json:"header_name"`
	Path              string                `json:"path"`
	Policy            string                `json:"policy"`
	FaultTolerant     bool                  `json:"fault_tolerant"`
	Redis             ratelimit.RedisConfig `json:"redis"`
	HideClientHeaders bool                  `json:"hide_client_headers"`
	ErrorCode         int                   `json:"error_code"`
	ErrorMessage      string                `json:"error_message"`
	SyncRate          float64               `json:"sync_rate"` // seconds
}

// limiter is one instance.
type limiter struct {
	config
	scope   string
	group   string // consumer group that the instance is limited to
	limits  ratelimit.Limits
	headers headers
	local   *ratelimit.Local
	redis   *ratelimit.Redis
	async   *ratelimit.Async
	log     *slog.Logger
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	l := &limiter{scope: ratelimit.ScopeOf(c.Plugin), limits: ratelimit.ParseLimits(c.Values), log: c.Host.Logger(name)}
	if err := schema.Decode(c.Values, &l.config); err != nil {
		return nil, err
	}
	if g := c.Plugin.ConsumerGroup; g != nil {
		l.group = string(g.ID)
	}
	l.headers = newHeaders(&l.limits)
	phases := &plugin.Phases{Access: l.access}
	if !l.HideClientHeaders {
		phases.HeaderFilter = l.headerFilter
	}
	if l.Policy != "redis" {
		l.local = c.Host.State(name, "local", func() any { return ratelimit.NewLocal(localKeys) }).(*ratelimit.Local)
		return phases, nil
	}
	l.redis = ratelimit.OpenRedis(c.Host, name, l.Redis)
	if l.SyncRate > 0 {
		rate := time.Duration(l.SyncRate * float64(time.Second))
		l.async = ratelimit.OpenAsync(l.redis, rate, c.Host.Now, l.report)
	} else {
		phases.Needs.MayBlock = true
	}
	phases.Close = l.close
	return phases, nil
}

func (l *limiter) close() {
	if l.async != nil {
		l.async.Close()
	}
	l.redis.Close()
}

func (l *limiter) report(err error) {
	l.log.Error("counters are out of reach; check config.redis and the server", "host", l.Redis.Host, "port", l.Redis.Port, "error", err)
}

func (l *limiter) access(x plugin.Exchange) {
	now := x.Marks().Start
	used, counted, err := l.take(x, now)
	if err != nil {
		l.report(err)
		if !l.FaultTolerant {
			x.Exit(plugin.Reply{Status: 500, Message: "An unexpected error occurred"})
		}
		return
	}
	if !l.HideClientHeaders {
		v := verdicts.Get().(*verdict)
		*v = decide(&l.limits, &used, !counted, now)
		x.SetValue(slot, v)
	}
	if !counted {
		x.Exit(plugin.Reply{Status: l.ErrorCode, Message: l.ErrorMessage})
	}
}

func (l *limiter) take(x plugin.Exchange, now time.Time) (ratelimit.Usage, bool, error) {
	key := l.key(x)
	switch {
	case l.async != nil:
		used, counted := l.async.Take(key, &l.limits, now)
		return used, counted, nil
	case l.redis != nil:
		// The count of a request whose client has left still counts.
		return l.redis.Take(context.Background(), key, &l.limits, now)
	default:
		used, counted := l.local.Take(key, &l.limits, now)
		return used, counted, nil
	}
}

// key tells who is counted. Every way falls back to the client's address.
func (l *limiter) key(x plugin.Exchange) ratelimit.Key {
	k := ratelimit.Key{Scope: l.scope}
	switch l.LimitBy {
	case "consumer":
		return k.Consumer(x)
	case "credential":
		return k.Credential(x)
	case "service":
		if s := x.Service(); s != nil {
			k.ID = string(s.ID)
		}
	case "header":
		k.ID = x.Header().Get(l.HeaderName)
	case "path":
		if path := x.Request().Path; path == l.Path {
			k.ID = path
		}
	case "consumer-group":
		k.ID = l.group
		if groups := x.Identity().Groups; k.ID == "" && len(groups) > 0 {
			k.ID = string(groups[0].ID)
		}
	}
	if k.ID == "" {
		return k.Address(x)
	}
	return k
}
