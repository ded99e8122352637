// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Async counts in this process and adds to Redis in the background, from where
// it learns what other nodes counted. It is safe for concurrent use.
type Async struct {
	redis *Redis
	rate  time.Duration
	users int // guarded by redis.shared.mu
	stop  chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	windows map[string]*window
}

// window is one counter as Redis knew it last, and what came since.
type window struct {
	known, fresh float64
	ends         int64 // seconds since the epoch
}

// OpenAsync returns the background counters for a server and rate, shared by
// all handles with the same config. failed is told of each round that did not
// reach the server. Close releases the handle.
func OpenAsync(r *Redis, rate time.Duration, now func() time.Time, failed func(error)) *Async {
	s := r.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.async[rate]
	if a == nil {
		a = &Async{redis: r, rate: rate, windows: map[string]*window{}, stop: make(chan struct{}), ended: make(chan struct{})}
		s.async[rate] = a
		go a.loop(now, failed)
	}
	a.users++
	return a
}

// Close releases the handle; with the last one the loop sends what is left and
// ends. It must come before the Redis handle is closed.
func (a *Async) Close() {
	s := a.redis.shared
	s.mu.Lock()
	a.users--
	last := a.users == 0
	if last {
		delete(s.async, a.rate)
	}
	s.mu.Unlock()
	if last {
		close(a.stop)
		<-a.ended
	}
}

func (a *Async) loop(now func() time.Time, failed func(error)) {
	defer close(a.ended)
	ticker := time.NewTicker(a.rate)
	defer ticker.Stop()
	for stopped := false; !stopped; {
		select {
		case <-ticker.C:
		case <-a.stop:
			stopped = true
		}
		if err := a.Sync(now()); err != nil {
			failed(err)
		}
	}
}

// Take is Local.Take on what is known so far.
func (a *Async) Take(k Key, limits *Limits, now time.Time) (Usage, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var used Usage
	var touched [periods]*window
	for p, limit := range limits {
		if limit <= 0 {
			continue
		}
		period := Period(p)
		start := period.Start(now)
		key := k.redis(period, start)
		w := a.windows[key]
		if w == nil {
			w = &window{ends: period.End(start)}
			a.windows[key] = w
		}
		touched[p] = w
		used[p] = w.known + w.fresh
	}
	if used.exhausts(limits) {
		return used, false
	}
	for _, w := range touched {
		if w != nil {
			w.fresh++
		}
	}
	return used, true
}

// Sync adds what was counted since the last call to the server and takes over
// the sums. What could not be sent stays for the next call. Windows that are
// over are forgotten.
func (a *Async) Sync(now time.Time) error {
	pending := a.collect(now.Unix())
	if len(pending) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.redis.timeout)
	defer cancel()
	sums := make(map[string]*redis.FloatCmd, len(pending))
	_, err := a.redis.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for key, w := range pending {
			sums[key] = p.IncrByFloat(ctx, key, w.fresh)
			p.Do(ctx, "EXPIREAT", key, strconv.FormatInt(w.ends, 10))
		}
		return nil
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, cmd := range sums {
		w := a.windows[key]
		if w == nil {
			continue
		}
		if sum, failure := cmd.Result(); failure == nil {
			w.known = sum
			w.fresh -= pending[key].fresh
		}
	}
	return err
}

func (a *Async) collect(now int64) map[string]window {
	a.mu.Lock()
	defer a.mu.Unlock()
	pending := map[string]window{}
	for key, w := range a.windows {
		switch {
		case w.ends <= now:
			delete(a.windows, key)
		case w.fresh != 0:
			pending[key] = *w
		}
	}
	return pending
}
