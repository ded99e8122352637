// SPDX-License-Identifier: Apache-2.0

// Package suite says what is measured, measures it, and judges it.
package suite

import (
	"fmt"
	"slices"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
)

// host is the host of all requests that need no other.
const host = "bench.test"

// Row is one line of the table: the same load for several proxies.
type Row struct {
	// Key names the row for bars, Title for readers, and Short where other rows
	// are compared with it.
	Key, Title, Short string
	Site              *peer.Site
	Load              agent.Load
	// Refused says that the proxy answers by itself.
	Refused bool
	// OursOnly leaves out the peers.
	OursOnly bool
	// HalfLoad makes the load open, at half of what the slowest of the gateway,
	// nginx and HAProxy can do, or at half of what a slower proxy can do.
	HalfLoad bool
	// Probes are sent once before each round.
	Probes []Probe
	// Change changes the configuration meanwhile.
	Change *Change
	// Idle sends no load: what is measured is the CPU time of a change.
	Idle bool
	// Repeat measures each round so many times, in half the window; 0 once.
	Repeat int
}

// Change says how the configuration changes.
type Change struct {
	// Rate is how many routes are changed a second, one at a time; 0 changes
	// each as soon as the proxy has acknowledged the one before.
	Rate float64
	// Routes are changed by turns.
	Routes []string
}

// Probe is a request with an answer other than the row's.
type Probe struct {
	Request agent.Request
	Status  int
}

// Section is a set of rows that are measured by turns.
type Section struct {
	Key, Title string
	Rows       []Row
}

var plainSite = &peer.Site{Name: "plain"}

func get() agent.Load {
	return agent.Load{
		Protocol: agent.HTTP1, Requests: []agent.Request{{Host: host, Path: "/bench"}},
		Connections: 64, Streams: 1, Answer: 3, Status: 200,
	}
}

func with(change func(*agent.Load)) agent.Load {
	load := get()
	change(&load)
	return load
}

func protocol(p agent.Protocol, connections, streams int) agent.Load {
	return with(func(l *agent.Load) { l.Protocol, l.Connections, l.Streams = p, connections, streams })
}

// Sections returns all sections in the order in which they are measured.
func Sections() []Section {
	return []Section{
		{"plain", "Plain proxying", []Row{{Key: "plain", Title: "plain, 64 connections", Site: plainSite, Load: get(), Repeat: 4}}},
		{"log", "Access log and Prometheus", []Row{
			{Key: "log", Title: "access log", Site: &peer.Site{Name: "log", AccessLog: true}, Load: get()},
			{Key: "prometheus", Title: "access log and Prometheus", Site: &peer.Site{Name: "prometheus", AccessLog: true, Prometheus: true}, Load: get()},
		}},
		{"keyauth", "key-auth and rate-limiting", []Row{
			{Key: "keyauth", Title: "key-auth and rate-limiting (local, by consumer)", Site: &peer.Site{Name: "keyauth", KeyAuth: true}, Load: keyed(),
				Probes: []Probe{{agent.Request{Host: host, Path: "/bench"}, 401}}},
			{Key: "keyauth-plain", Title: "the gateway without plugins, in the same rounds", Site: plainSite, Load: get(), OursOnly: true},
		}},
		{"correlation", "correlation-id and ip-restriction", []Row{
			{Key: "correlation", Title: "correlation-id and ip-restriction", Site: &peer.Site{Name: "correlation", Correlation: true}, Load: get()},
		}},
		{"bodies", "Bodies", []Row{
			{Key: "upload-1k", Title: "upload of 1 KiB", Site: plainSite, Load: upload(1 << 10)},
			{Key: "download-1k", Title: "download of 1 KiB", Site: plainSite, Load: download(1 << 10)},
			{Key: "upload-64k", Title: "upload of 64 KiB", Site: plainSite, Load: upload(64 << 10)},
			{Key: "download-64k", Title: "download of 64 KiB", Site: plainSite, Load: download(64 << 10)},
		}},
		{"tls", "TLS 1.3", []Row{
			{Key: "tls", Title: "TLS, keep-alive, 64 connections", Site: plainSite, Load: protocol(agent.TLS, 64, 1)},
			{Key: "handshakes", Title: "TLS, a full handshake per request", Site: plainSite, Load: protocol(agent.Handshakes, 16, 1)},
		}},
		{"http2", "HTTP/2", []Row{
			{Key: "http2", Title: "HTTP/2 over TLS, 16 connections of 4 streams", Site: plainSite, Load: protocol(agent.HTTP2, 16, 4)},
			{Key: "h2c", Title: "HTTP/2 in plaintext, 16 connections of 4 streams", Site: plainSite, Load: protocol(agent.H2C, 16, 4)},
		}},
		{"connections", "Connections", []Row{
			{Key: "connections-1", Title: "1 connection", Site: plainSite, Load: protocol(agent.HTTP1, 1, 1)},
			{Key: "connections-64", Title: "64 connections", Site: plainSite, Load: protocol(agent.HTTP1, 64, 1)},
			{Key: "connections-512", Title: "512 connections", Site: plainSite, Load: protocol(agent.HTTP1, 512, 1)},
		}},
		{"latency", "Latency at half load, open loop", []Row{
			{Key: "latency", Title: "open loop at half load, 64 connections", Site: plainSite, Load: get(), HalfLoad: true, Repeat: ChangeRepeat},
		}},
		{"routers", "The gateway's router", routerRows()},
		{"changes", "Changes of the configuration", changeRows()},
	}
}

// Streamed says whether the section needs a feeder.
func (s *Section) Streamed() bool {
	return slices.ContainsFunc(s.Rows, func(r Row) bool { return r.Site.Streamed })
}

func keyed() agent.Load {
	return with(func(l *agent.Load) {
		l.Requests = nil
		for i := range peer.Consumers {
			l.Requests = append(l.Requests, agent.Request{Host: host, Path: "/bench", Header: []agent.Header{{Name: "apikey", Value: peer.ConsumerKey(i)}}})
		}
	})
}

func upload(size int) agent.Load {
	return with(func(l *agent.Load) { l.Requests[0].Body = size })
}

func download(size int) agent.Load {
	return with(func(l *agent.Load) { l.Answer = size })
}

const (
	manyRoutes  = 5000
	manyRegexes = 500
	// firstRoute makes all numbers have four digits.
	firstRoute = 1000
	// spread is how many different requests are sent to many routes.
	spread = 499
)

// prefixPaths are what an Ingress path of type Prefix becomes.
func prefixPaths(number int) []string {
	return []string{fmt.Sprintf("/svc-%d/", number), fmt.Sprintf("~/svc-%d$", number)}
}

func prefixRoutes() (out []peer.Route) {
	for i := firstRoute; i < firstRoute+manyRoutes; i++ {
		out = append(out, peer.Route{Host: "shop.example", Paths: prefixPaths(i)})
	}
	return out
}

func routerRows() []Row {
	one := &peer.Site{Name: "one", Routes: []peer.Route{{Host: "shop.example", Paths: prefixPaths(firstRoute)}}}
	prefix, hostless, wildcard, regexes := &peer.Site{Name: "prefix"}, &peer.Site{Name: "hostless"}, &peer.Site{Name: "wildcard"}, &peer.Site{Name: "regexes"}
	prefix.Routes = prefixRoutes()
	for i := firstRoute; i < firstRoute+manyRoutes; i++ {
		hostless.Routes = append(hostless.Routes, peer.Route{Paths: prefixPaths(i)})
		wildcard.Routes = append(wildcard.Routes, peer.Route{Host: fmt.Sprintf("*.t%d.example", i), Paths: prefixPaths(firstRoute)})
	}
	for i := firstRoute; i < firstRoute+manyRegexes; i++ {
		regexes.Routes = append(regexes.Routes, peer.Route{Host: "shop.example", Paths: []string{fmt.Sprintf(`~/[a-z]+/v[0-9]+/svc-%d/(?<id>[0-9]+)$`, i)}})
	}
	row := func(key, title string, site *peer.Site, requests []agent.Request) Row {
		return Row{Key: key, Title: title, Site: site, OursOnly: true, Load: with(func(l *agent.Load) { l.Requests = requests })}
	}
	miss := func(r Row) Row {
		r.Refused, r.Load.Status, r.Load.AnswerAny = true, 404, true
		return r
	}
	nobody := []agent.Request{{Host: "shop.example", Path: "/nobody"}, {Host: "shop.example", Path: "/svc-10/item"}}
	base := func(r Row) Row {
		r.Short = "one route"
		return r
	}
	return []Row{
		base(row("router-one", "one route", one, requestsTo(1, func(int) string { return "shop.example" }, pathOf))),
		row("router-prefix", "5,000 Ingress Prefix paths on one host", prefix, requestsTo(manyRoutes, func(int) string { return "shop.example" }, pathOf)),
		row("router-hostless", "5,000 Ingress Prefix paths without hosts", hostless, requestsTo(manyRoutes, func(int) string { return "shop.example" }, pathOf)),
		row("router-wildcard", "5,000 wildcard hosts", wildcard, requestsTo(manyRoutes,
			func(i int) string { return fmt.Sprintf("www.t%d.example", i) }, func(_, n int) string { return pathOf(firstRoute, n) })),
		base(miss(row("router-miss-one", "a miss, one route", one, nobody))),
		miss(row("router-miss", "a miss among 5,000 Ingress Prefix paths", prefix, nobody)),
		row("router-regexes", "500 true regular expressions", regexes, requestsTo(manyRegexes, func(int) string { return "shop.example" },
			func(i, n int) string { return fmt.Sprintf("/api/v2/svc-%d/%d", i, n) })),
	}
}

// pathOf is the route's own path or one below it, by turns.
func pathOf(route, n int) string {
	if n%2 == 0 {
		return fmt.Sprintf("/svc-%d", route)
	}
	return fmt.Sprintf("/svc-%d/item", route)
}

// requestsTo spreads requests over the first routes.
func requestsTo(routes int, host func(route int) string, path func(route, n int) string) []agent.Request {
	var out []agent.Request
	for n := range spread {
		route := firstRoute + indexOf(n, routes)
		out = append(out, agent.Request{Host: host(route), Path: path(route, n)})
	}
	return out
}

// indexOf is the index of the route that request n goes to, by a step that
// shares no factor with the numbers of routes.
func indexOf(n, routes int) int { return n * 1009 % routes }
