// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Metrics are all that the plugin's instances counted in this process. It is a
// prometheus.Collector, safe for concurrent use.
type Metrics struct {
	switches  switches
	requests  table[requestKey, atomic.Int64]
	sessions  table[requestKey, atomic.Int64]
	bandwidth table[transferKey, transfer]
	latency   table[scope, latencies]
	durations table[scope, histogram]
}

// Of returns the metrics of a process.
func Of(host plugin.Host) *Metrics {
	return host.State("prometheus", "metrics", func() any { return &Metrics{} }).(*Metrics)
}

// UpstreamHealth reports whether an instance asks for the health of targets.
func (m *Metrics) UpstreamHealth() bool { return m.switches.upstreamHealth.Load() > 0 }

// switches count the instances that ask for each kind of metric.
type switches struct {
	statusCodes, latency, bandwidth, upstreamHealth atomic.Int32
}

func (s *switches) join(c config, n int32) {
	for _, is := range []struct {
		set   bool
		count *atomic.Int32
	}{{c.StatusCodes, &s.statusCodes}, {c.Latency, &s.latency}, {c.Bandwidth, &s.bandwidth}, {c.UpstreamHealth, &s.upstreamHealth}} {
		if is.set {
			is.count.Add(n)
		}
	}
}

// scope is what all metrics are told apart by.
type scope struct{ service, route string }

type requestKey struct {
	scope
	consumer string
	status   int
	source   string
}

type transferKey struct {
	scope
	consumer string
}

// transfer counts bytes from and to clients.
type transfer struct{ in, out atomic.Int64 }

// latencies are those of one route, as Kong splits them.
type latencies struct{ kong, upstream, request histogram }

// observe adds an exchange. Without an upstream all of its time is the
// gateway's own.
func (l *latencies) observe(x plugin.Exchange) {
	m := x.Marks()
	total := m.End.Sub(m.Start)
	own := total
	if len(x.Tries()) > 0 && !m.AccessDone.IsZero() {
		first := m.FirstByte
		if first.IsZero() {
			first = m.End
		}
		own = m.AccessDone.Sub(m.Start) + m.End.Sub(first)
		l.upstream.add(first.Sub(m.AccessDone))
	}
	l.kong.addTo(ownBuckets, own)
	l.request.add(total)
}

// Upper bounds of the buckets in milliseconds: for what the gateway takes
// itself, and for what includes an upstream.
var (
	ownBuckets = []int64{1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000}
	allBuckets = []int64{25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000}
)

// maxBuckets is the length of the longest list of bounds.
const maxBuckets = 17

// histogram counts durations by bucket; what exceeds the last bound is only in
// the count.
type histogram struct {
	buckets [maxBuckets]atomic.Uint64
	count   atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (h *histogram) add(d time.Duration) { h.addTo(allBuckets, d) }

func (h *histogram) addTo(bounds []int64, d time.Duration) {
	d = max(d, 0)
	for i, bound := range bounds {
		if d <= time.Duration(bound)*time.Millisecond {
			h.buckets[i].Add(1)
			break
		}
	}
	h.sum.Add(int64(d))
	h.count.Add(1)
}

// shards is how many parts a table has, so that processors seldom meet, and
// maxSeries how many keys each of them takes: names of routes that come and go
// must not fill the memory.
const (
	shards    = 16
	maxSeries = 4096
)

var seed = maphash.MakeSeed()

// table holds a value for each key. Its zero value is empty.
type table[K comparable, V any] struct {
	parts [shards]struct {
		sync.RWMutex
		values map[K]*V
		_      [24]byte // a cache line each
	}
	// lost takes what keys that found no room count, refused how often.
	lost    V
	refused atomic.Int64
}

// at returns the value of a key, made when it is new. Keys hold strings of
// entities and constants, which stay.
func (t *table[K, V]) at(key K) *V {
	part := &t.parts[maphash.Comparable(seed, key)%shards]
	part.RLock()
	v := part.values[key]
	part.RUnlock()
	if v != nil {
		return v
	}
	part.Lock()
	defer part.Unlock()
	if v = part.values[key]; v == nil {
		if len(part.values) >= maxSeries {
			t.refused.Add(1)
			return &t.lost
		}
		if part.values == nil {
			part.values = map[K]*V{}
		}
		v = new(V)
		part.values[key] = v
	}
	return v
}

// each calls see for every key.
func (t *table[K, V]) each(see func(K, *V)) {
	for i := range t.parts {
		part := &t.parts[i]
		part.RLock()
		for k, v := range part.values {
			see(k, v)
		}
		part.RUnlock()
	}
}
