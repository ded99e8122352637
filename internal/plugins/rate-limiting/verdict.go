// SPDX-License-Identifier: Apache-2.0

package ratelimiting

import (
	"strconv"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/ratelimit"
)

var slot = plugin.NewSlot("rate-limiting")

// verdicts are reused: one is made per request, and lives until its headers
// are written.
var verdicts = sync.Pool{New: func() any { return new(verdict) }}

// verdict is what the headers of an answer tell.
type verdict struct {
	remaining ratelimit.Usage
	// tightest is the period with the least remaining, the longer one of equals.
	tightest ratelimit.Period
	reset    int64 // seconds until the tightest window is over
	blocked  bool
}

// decide works out the headers from what was counted before the request. A
// refused request uses up nothing of the periods that would have let it pass.
func decide(limits *ratelimit.Limits, used *ratelimit.Usage, blocked bool, now time.Time) verdict {
	v := verdict{blocked: blocked, tightest: -1}
	for p, limit := range limits.Each {
		left := limit - used[p]
		if !blocked || left <= 0 {
			left--
		}
		left = max(left, 0)
		v.remaining[p] = left
		if v.tightest < 0 || left <= v.remaining[v.tightest] {
			v.tightest = p
		}
	}
	v.reset = v.tightest.Reset(now)
	return v
}

// headers are the names and fixed values of an instance's headers.
type headers struct {
	periods []periodHeaders
	limits  [ratelimit.Year + 1]string
}

type periodHeaders struct {
	period           ratelimit.Period
	limit, remaining string
}

func newHeaders(limits *ratelimit.Limits) headers {
	var h headers
	for p, limit := range limits.Each {
		h.limits[p] = number(limit)
		h.periods = append(h.periods, periodHeaders{p, "X-RateLimit-Limit-" + p.Title(), "X-RateLimit-Remaining-" + p.Title()})
	}
	return h
}

func (l *limiter) headerFilter(x plugin.Exchange) {
	v, _ := x.Value(slot).(*verdict)
	if v == nil {
		return
	}
	x.SetValue(slot, nil)
	h := answer{x.Response().Header, !x.Exited()}
	tightest := ""
	for i := range l.headers.periods {
		p := &l.headers.periods[i]
		remaining := number(v.remaining[p.period])
		if p.period == v.tightest {
			tightest = remaining
		}
		h.put(p.limit, l.headers.limits[p.period])
		h.put(p.remaining, remaining)
	}
	h.put("RateLimit-Limit", l.headers.limits[v.tightest])
	h.put("RateLimit-Remaining", tightest)
	reset := strconv.FormatInt(v.reset, 10)
	h.put("RateLimit-Reset", reset)
	if v.blocked {
		h.put("Retry-After", reset)
	}
	verdicts.Put(v)
}

// answer is the header of an answer. Beside headers that the upstream sent by
// the same name our own stand in front; those of an answer that another plugin
// made (from its cache, for example) are replaced.
type answer struct {
	plugin.Header
	keep bool
}

func (h answer) put(name, value string) {
	if !h.keep || !h.Has(name) {
		h.Set(name, value)
		return
	}
	theirs := h.Values(nil, name)
	h.Set(name, value)
	for _, v := range theirs {
		h.Add(name, v)
	}
}

// number renders a count as Kong does: whole ones without a fraction.
func number(f float64) string {
	if n := int64(f); float64(n) == f {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(f, 'g', 14, 64)
}
