// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"

	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
)

// Bar is a promise about a ratio of two cells, or about a figure of one.
type Bar struct {
	Title string
	// Limit is the largest ratio, or figure, that meets the bar.
	Limit float64
	ours  side
	// other is zero when the figure itself is judged.
	other side
	of    func(Figures) float64
	// rate is how many changes a second there must have been for ours to say
	// anything.
	rate float64
}

type side struct{ row, peer string }

// Verdict is a Bar beside what was measured.
type Verdict struct {
	Bar
	// Ratio, or the figure of a Bar without another cell.
	Ratio float64
	// Missing says that one side was not measured.
	Missing bool
}

// Met says whether the bar is met.
func (v *Verdict) Met() bool { return !v.Missing && v.Ratio <= v.Limit }

// String is one line for the report.
func (v *Verdict) String() string {
	switch {
	case v.Missing:
		return fmt.Sprintf("%s: not measured", v.Title)
	case v.Met():
		return fmt.Sprintf("%s: %.2f of at most %.2f: **met**", v.Title, v.Ratio, v.Limit)
	}
	return fmt.Sprintf("%s: %.2f of at most %.2f: **not met**", v.Title, v.Ratio, v.Limit)
}

func cpuOf(f Figures) float64 { return f.CPU }

func p99Of(f Figures) float64 { return float64(f.P99) }

func changeMilliseconds(f Figures) float64 { return f.ChangeCPU.Seconds() * 1000 }

// Bars are the promises that the gateway is held to.
func Bars() []Bar {
	ours := func(row string) side { return side{row, peer.Ours} }
	bars := []Bar{
		{Title: "plain, CPU per request against nginx", Limit: 1, ours: ours("plain"), other: side{"plain", peer.Nginx}, of: cpuOf},
		{Title: "plain, CPU per request against HAProxy", Limit: 1, ours: ours("plain"), other: side{"plain", peer.HAProxy}, of: cpuOf},
		{Title: "plain, CPU per request against Envoy", Limit: 1.0 / 3, ours: ours("plain"), other: side{"plain", peer.Envoy}, of: cpuOf},
		{Title: "key-auth and rate-limiting, CPU per request against our own plain", Limit: 1.25, ours: ours("keyauth"), other: ours("keyauth-plain"), of: cpuOf},
		{Title: "TLS keep-alive, CPU per request against HAProxy", Limit: 1.25, ours: ours("tls"), other: side{"tls", peer.HAProxy}, of: cpuOf},
		{Title: "TLS handshakes, CPU per request against HAProxy", Limit: 1.25, ours: ours("handshakes"), other: side{"handshakes", peer.HAProxy}, of: cpuOf},
		{Title: "HTTP/2 over TLS, CPU per request against HAProxy", Limit: 1.25, ours: ours("http2"), other: side{"http2", peer.HAProxy}, of: cpuOf},
		{Title: "HTTP/2 in plaintext, CPU per request against HAProxy", Limit: 1.25, ours: ours("h2c"), other: side{"h2c", peer.HAProxy}, of: cpuOf},
		{Title: "p99 at half load against nginx", Limit: 2, ours: ours("latency"), other: side{"latency", peer.Nginx}, of: p99Of},
	}
	for _, r := range []struct{ row, title, base string }{
		{"router-prefix", "5,000 Ingress Prefix paths on one host", "router-one"},
		{"router-hostless", "5,000 Ingress Prefix paths without hosts", "router-one"},
		{"router-wildcard", "5,000 wildcard hosts", "router-one"},
		{"router-miss", "a miss among 5,000 Ingress Prefix paths", "router-miss-one"},
	} {
		bars = append(bars, Bar{Title: r.title + ", CPU per request against one route", Limit: 1.3, ours: ours(r.row), other: ours(r.base), of: cpuOf})
	}
	return append(bars,
		Bar{Title: "p99 at half load under 10 changes a second among 5,000 routes, against the same without", Limit: 1.5,
			ours: ours("changes"), other: ours("changes-quiet"), of: p99Of, rate: 0.9 * changeRate},
		Bar{Title: "one changed route among 5,000, 10 a second, ms of CPU", Limit: 5, ours: ours("change-paced"), of: changeMilliseconds},
		Bar{Title: "one changed route among 5,000, one after another, ms of CPU", Limit: 5, ours: ours("change-rapid"), of: changeMilliseconds})
}

// Judge compares results with the bars.
func Judge(results Results, bars []Bar) []Verdict {
	var out []Verdict
	for _, b := range bars {
		v := Verdict{Bar: b}
		ours, ok := results.figures(b.ours.row, b.ours.peer)
		ok = ok && ours.ChangeRate >= b.rate
		if b.other == (side{}) {
			if v.Missing = !ok; ok {
				v.Ratio = b.of(ours)
			}
			out = append(out, v)
			continue
		}
		other, also := results.figures(b.other.row, b.other.peer)
		if v.Missing = !ok || !also || b.of(other) == 0; !v.Missing {
			v.Ratio = b.of(ours) / b.of(other)
		}
		out = append(out, v)
	}
	return out
}
