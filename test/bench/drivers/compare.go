// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/load"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/measure"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

// drivers are compared in this order.
var drivers = []string{"engine", "goroutine", "epoll", "epoll-naive", "fasthttp"}

// scenario is one way to load a proxy.
type scenario struct {
	name   string
	groups []load.Group
	tls    int // connections over TLS, instead of groups
	// naive says that this is what epoll-naive is measured for.
	naive bool
}

var scenarios = []scenario{
	{name: "1 connection", groups: []load.Group{{Connections: 1, Path: site.PlainPath}}},
	{name: "64 connections", groups: []load.Group{{Connections: 64, Path: site.PlainPath}}},
	{name: "512 connections", groups: []load.Group{{Connections: 512, Path: site.PlainPath}}},
	{name: "5,000 connections", groups: []load.Group{{Connections: 5000, Path: site.PlainPath}}},
	{name: "64 connections, TLS", tls: 64},
	{name: "64 connections, a plugin that may block and does not", groups: []load.Group{{Connections: 64, Path: site.QuickPath}}},
	{name: "64 connections, beside 16 that wait in a plugin", naive: true, groups: []load.Group{{Connections: 64, Path: site.PlainPath}, {Connections: 16, Path: site.WaitPath}}},
}

// comparison measures all drivers in all scenarios.
type comparison struct {
	rounds              int
	duration            time.Duration
	idle                int
	proxyCore, loadCore int
	only                string

	backend *measure.Process
	proxies map[string]*measure.Process
	results results
}

func (c *comparison) run() (err error) {
	if err = measure.Pin(c.loadCore); err != nil {
		return err
	}
	if c.backend, err = measure.Start(c.loadCore, "backend"); err != nil {
		return err
	}
	defer c.backend.Stop()
	c.proxies = map[string]*measure.Process{}
	for _, d := range drivers {
		if c.proxies[d], err = c.startProxy(d); err != nil {
			return err
		}
		defer c.proxies[d].Stop()
	}
	for round := range c.rounds {
		for _, s := range scenarios {
			if !strings.Contains(s.name, c.only) {
				continue
			}
			for i := range drivers {
				// Each comes first once.
				d := drivers[(i+round)%len(drivers)]
				if d == "epoll-naive" && !s.naive {
					continue
				}
				m, err := c.measure(s, c.proxies[d])
				if err != nil {
					return fmt.Errorf("%s, %s: %w", d, s.name, err)
				}
				c.results.add(s.name, d, m)
				fmt.Fprintf(os.Stderr, "round %d, %s, %s: %s\n", round+1, s.name, d, m)
			}
		}
	}
	for _, d := range drivers {
		if d == "epoll-naive" || c.idle == 0 {
			continue
		}
		if err := c.measureIdle(d); err != nil {
			return errors.Join(fmt.Errorf("%s, idle: %w", d, err), c.results.print(os.Stdout, c))
		}
	}
	return c.results.print(os.Stdout, c)
}

func (c *comparison) startProxy(driver string) (*measure.Process, error) {
	return measure.Start(c.proxyCore, "proxy", "-driver", driver, "-backend", c.backend.Addresses[0].String())
}

// measure loads a proxy and says what it cost.
func (c *comparison) measure(s scenario, p *measure.Process) (m measurement, err error) {
	var before, after costs
	var result load.Result
	var sent int64
	if s.tls > 0 {
		client, err := load.NewTLSClient(p.Addresses[1], s.tls)
		if err != nil {
			return m, err
		}
		defer client.Close()
		if before, err = c.costs(p); err != nil {
			return m, err
		}
		if result, err = client.Run(c.duration); err != nil {
			return m, err
		}
		sent = result.Requests
	} else {
		client, err := load.NewClient(p.Addresses[0], s.groups)
		if err != nil {
			return m, err
		}
		defer client.Close()
		if err := client.Run(c.duration / 10); err != nil {
			return m, err
		}
		if before, err = c.costs(p); err != nil {
			return m, err
		}
		if err := client.Run(c.duration); err != nil {
			return m, err
		}
		result = client.Results[0]
		for _, r := range client.Results {
			sent += r.Requests
		}
	}
	if after, err = c.costs(p); err != nil {
		return m, err
	}
	if seen := after.requests - before.requests; seen != sent {
		return m, fmt.Errorf("%d answers, but the backend saw %d requests", sent, seen)
	}
	return newMeasurement(before, after, sent, &result), nil
}

// costs are counters at one moment.
type costs struct {
	at          time.Time
	proxy, load time.Duration
	requests    int64
}

func (c *comparison) costs(p *measure.Process) (now costs, err error) {
	now.at = time.Now()
	if now.proxy, err = measure.CPU(p.Pid()); err != nil {
		return now, err
	}
	ours, err := measure.CPU(os.Getpid())
	if err != nil {
		return now, err
	}
	theirs, err := measure.CPU(c.backend.Pid())
	if err != nil {
		return now, err
	}
	now.load = ours + theirs
	r, err := http.Get("http://" + c.backend.Addresses[1].String()) //nolint:noctx // our own child
	if err != nil {
		return now, err
	}
	defer func() { _ = r.Body.Close() }()
	var count load.Count
	if err := json.NewDecoder(r.Body).Decode(&count); err != nil {
		return now, err
	}
	if count.Lacking != "" {
		return now, fmt.Errorf("a request lacked %s", count.Lacking)
	}
	now.requests = count.Requests
	return now, nil
}

// measureIdle opens connections that have each been answered once, in front of
// a process that has done nothing else.
func (c *comparison) measureIdle(driver string) error {
	p, err := c.startProxy(driver)
	if err != nil {
		return err
	}
	defer p.Stop()
	warm, err := c.idleConnections(p, 100)
	if err != nil {
		return err
	}
	defer warm.Close()
	before, err := measure.Resident(p.Pid())
	if err != nil {
		return err
	}
	waiting, err := c.idleConnections(p, c.idle)
	if err != nil {
		return err
	}
	defer waiting.Close()
	after, err := measure.Resident(p.Pid())
	if err != nil {
		return err
	}
	collected, err := c.collected(p)
	if err != nil {
		return err
	}
	m := memory{driver: driver, alone: before, each: (after - before) / int64(c.idle), eachLately: (collected - before) / int64(c.idle)}
	if m.secured, err = c.measureIdleTLS(driver); err != nil {
		return err
	}
	c.results.memory = append(c.results.memory, m)
	return nil
}

// measureIdleTLS is measureIdle for a tenth of the connections, over TLS, after
// a collection.
func (c *comparison) measureIdleTLS(driver string) (each int64, err error) {
	p, err := c.startProxy(driver)
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	warm, err := load.NewTLSClient(p.Addresses[1], 100)
	if err != nil {
		return 0, err
	}
	defer warm.Close()
	before, err := c.collected(p)
	if err != nil {
		return 0, err
	}
	n := c.idle / 10
	waiting, err := load.NewTLSClient(p.Addresses[1], n)
	if err != nil {
		return 0, err
	}
	defer waiting.Close()
	after, err := c.collected(p)
	return (after - before) / int64(max(n, 1)), err
}

func (c *comparison) idleConnections(p *measure.Process, n int) (*load.Client, error) {
	client, err := load.NewClient(p.Addresses[0], []load.Group{{Connections: n, Path: site.PlainPath}})
	if err != nil {
		return nil, err
	}
	return client, client.Once()
}

// collected returns what is resident once the process has collected garbage,
// which it does by itself every two minutes.
func (c *comparison) collected(p *measure.Process) (int64, error) {
	last := int64(-1)
	for {
		if err := p.Collect(); err != nil {
			return 0, err
		}
		time.Sleep(time.Second) //nolint:forbidigo // the kernel counts pages lazily
		now, err := measure.Resident(p.Pid())
		if err != nil || now == last {
			return now, err
		}
		if last >= 0 && now > last-last/100 {
			return now, nil
		}
		last = now
	}
}
