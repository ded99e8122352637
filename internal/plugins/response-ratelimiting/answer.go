// SPDX-License-Identifier: Apache-2.0

package responseratelimiting

import (
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// headerFilter reads what the answer costs, and refuses it if that is more
// than what is left.
func (l *limiter) headerFilter(x plugin.Exchange) {
	a, ok := x.Value(slot).(*account)
	if !ok {
		return
	}
	response := x.Response()
	h := response.Header
	if response.Source == plugin.SourceUpstream {
		l.readCost(a, h.Get(l.HeaderName))
		a.charge = true
	}
	h.Del(l.HeaderName)
	for i := range l.limits {
		limit := &l.limits[i]
		if !l.HideClientHeaders {
			h.Set("X-RateLimit-Remaining-"+limit.name, number(limit.remaining(&a.used[i])))
		}
		for p, most := range limit.periods.Each {
			left := most - a.used[i][p] - a.cost[i]
			// The answer that uses up the last of a limit passes, whatever it
			// costs; those after it do not.
			if a.cost[i] > 0 && most-a.used[i][p] <= 0 {
				a.refused = true
			}
			if !l.HideClientHeaders {
				h.Set("X-RateLimit-Limit-"+limit.name+"-"+p.String(), number(most))
				h.Set("X-RateLimit-Remaining-"+limit.name+"-"+p.String(), number(max(left, 0)))
			}
		}
	}
	if a.refused {
		a.charge = false
		response.Status = 429
		h.Del("Content-Length")
		h.Del("Content-Type")
		h.Del("Content-Encoding")
		h.Set("Content-Length", "0")
	}
}

// bodyFilter takes the body off a refused answer.
func bodyFilter(x plugin.Exchange, chunk []byte, _ bool) []byte {
	if a, ok := x.Value(slot).(*account); ok && a.refused {
		return nil
	}
	return chunk
}

// readCost reads a list like "video=2, image=1". What is no number costs
// nothing.
func (l *limiter) readCost(a *account, list string) {
	for item := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(item, "=")
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || n-n != 0 { // infinities and NaN
			continue
		}
		for i := range l.limits {
			if l.limits[i].name == strings.TrimSpace(name) {
				a.cost[i] = n
			}
		}
	}
}

// number renders a count as Kong does: whole ones without a fraction.
func number(f float64) string {
	if n := int64(f); float64(n) == f {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(f, 'g', 14, 64)
}
