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
		{"plain, CPU per request against nginx", 1, ours("plain"), side{"plain", peer.Nginx}, cpuOf},
		{"plain, CPU per request against HAProxy", 1, ours("plain"), side{"plain", peer.HAProxy}, cpuOf},
		{"plain, CPU per request against Envoy", 1.0 / 3, ours("plain"), side{"plain", peer.Envoy}, cpuOf},
		{"key-auth and rate-limiting, CPU per request against our own plain", 1.25, ours("keyauth"), ours("keyauth-plain"), cpuOf},
		{"TLS keep-alive, CPU per request against HAProxy", 1.25, ours("tls"), side{"tls", peer.HAProxy}, cpuOf},
		{"TLS handshakes, CPU per request against HAProxy", 1.25, ours("handshakes"), side{"handshakes", peer.HAProxy}, cpuOf},
		{"HTTP/2 over TLS, CPU per request against HAProxy", 1.25, ours("http2"), side{"http2", peer.HAProxy}, cpuOf},
		{"HTTP/2 in plaintext, CPU per request against HAProxy", 1.25, ours("h2c"), side{"h2c", peer.HAProxy}, cpuOf},
		{"p99 at half load against nginx", 2, ours("latency"), side{"latency", peer.Nginx}, p99Of},
	}
	for _, r := range []struct{ row, title, base string }{
		{"router-prefix", "5,000 Ingress Prefix paths on one host", "router-one"},
		{"router-hostless", "5,000 Ingress Prefix paths without hosts", "router-one"},
		{"router-wildcard", "5,000 wildcard hosts", "router-one"},
		{"router-miss", "a miss among 5,000 Ingress Prefix paths", "router-miss-one"},
	} {
		bars = append(bars, Bar{r.title + ", CPU per request against one route", 1.3, ours(r.row), ours(r.base), cpuOf})
	}
	return append(bars,
		Bar{"p99 at half load under 10 changes a second among 5,000 routes, against the same without", 1.5, ours("changes"), ours("changes-quiet"), p99Of},
		Bar{"one changed route among 5,000, 10 a second, ms of CPU", 5, ours("change-paced"), side{}, changeMilliseconds},
		Bar{"one changed route among 5,000, one after another, ms of CPU", 5, ours("change-rapid"), side{}, changeMilliseconds})
}

// Judge compares results with the bars.
func Judge(results Results, bars []Bar) []Verdict {
	var out []Verdict
	for _, b := range bars {
		v := Verdict{Bar: b}
		ours, ok := results.figures(b.ours.row, b.ours.peer)
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
