// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
)

// changes are those from begin to end. A goroutine makes them; its fields are
// read when it has ended.
type changes struct {
	source *source
	routes []string
	// interval is the time from one change to the next, 0 for none.
	interval time.Duration
	began    time.Time
	stop     chan struct{}
	stopped  chan struct{}

	delays []time.Duration
	latest feed.Report // of the last change: where its route is and was
	err    error
}

// begin starts to make changes.
func begin(s *source, c feed.Command) (*changes, error) {
	if len(c.Routes) == 0 || c.Rate < 0 {
		return nil, errors.New("changes need routes, and a rate that is not negative")
	}
	for _, name := range c.Routes {
		if r := s.routes[name]; r == nil || len(r.Hosts) == 0 || len(r.Paths) == 0 {
			return nil, fmt.Errorf("no route with a host and a path is called %q", name)
		}
	}
	m := &changes{source: s, routes: c.Routes, began: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
	if c.Rate > 0 {
		m.interval = time.Duration(float64(time.Second) / c.Rate)
	}
	go m.run()
	return m, nil
}

// run makes the first change in the middle of an interval, so that spans of any
// length hold as many as the rate says. When one was late the next are not: the
// times are fixed.
func (m *changes) run() {
	defer close(m.stopped)
	for due := m.began.Add(m.interval / 2); m.err == nil && m.wait(due); due = due.Add(m.interval) {
		m.err = m.one(m.routes[len(m.delays)%len(m.routes)])
	}
}

// wait returns false when it is time to stop.
func (m *changes) wait(due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-m.stop:
		return false
	case <-timer.C:
	}
	select {
	case <-m.stop:
		return false
	default:
		return true
	}
}

// one moves a route elsewhere, as a new path in an Ingress does, and waits for
// the acknowledgement.
func (m *changes) one(name string) error {
	changed := *m.source.routes[name]
	path := fmt.Sprintf("/changed-%d", m.source.sequence)
	m.latest = feed.Report{Host: changed.Hosts[0], Path: path, Former: former(changed.Paths)}
	changed.Paths = []string{path + "/", "~" + path + "$"}
	m.source.routes[name] = &changed
	if err := m.source.put(&changed); err != nil {
		return err
	}
	from := time.Now()
	if err := m.source.publish(); err != nil {
		return err
	}
	if err := m.source.await(); err != nil {
		return err
	}
	m.delays = append(m.delays, time.Since(from))
	return nil
}

// former is a path that a route serves: its first that is no pattern.
func former(paths []string) string {
	i := slices.IndexFunc(paths, func(p string) bool { return p[0] == '/' })
	return paths[max(0, i)]
}

// end stops, waits for the change under way, and says what was done.
func (m *changes) end() feed.Report {
	elapsed := time.Since(m.began)
	close(m.stop)
	<-m.stopped
	r := m.latest
	r.Changes, r.Elapsed = len(m.delays), elapsed
	if m.err != nil {
		r.Failure = m.err.Error()
	}
	if slices.Sort(m.delays); len(m.delays) > 0 {
		r.Delay = m.delays[len(m.delays)/2]
	}
	return r
}
