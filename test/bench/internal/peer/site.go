// SPDX-License-Identifier: Apache-2.0

// Package peer describes the proxies that are measured: how each is configured
// to do the same work, started on its core and ended.
package peer

import (
	"fmt"
	"net"

	"github.com/kong/kong-istio-gateway/test/bench/internal/feed"
)

// Consumers is how many consumers a Site with KeyAuth has.
const Consumers = 1000

// Site is what a proxy is to serve. All proxies pass /bench to the backend, keep
// the Host header, add X-Real-IP, X-Forwarded-{For,Proto,Host,Port,Path}, Via
// and a request id to the request, and both latencies, Via and the request id
// to the answer.
type Site struct {
	// Name tells sites of a section apart.
	Name string
	// AccessLog writes a line with the request id per request to a file.
	AccessLog bool
	// Prometheus counts requests and latencies by route and status.
	Prometheus bool
	// KeyAuth finds the consumer by the header apikey, refuses who has none
	// with 401, tells the backend its name, and limits its requests.
	KeyAuth bool
	// Correlation adds a Kong-Request-ID to request and answer, and admits
	// clients of a few networks only.
	Correlation bool
	// Routes is what the gateway's router has to choose from: nil is /bench.
	Routes []Route
	// Streamed brings the configuration to the gateway by the configuration
	// stream, as in a fleet, where it can be changed; else it is a file.
	Streamed bool
}

// RouteName names the routes of Routes.
func (Site) RouteName(i int) string { return fmt.Sprintf("route-%d", i) }

// Route is a route of the gateway alone.
type Route struct {
	Host  string
	Paths []string
}

// ConsumerKey and ConsumerName name the consumers of a site with KeyAuth.
func ConsumerKey(i int) string { return fmt.Sprintf("key-%d-8f14e45fceea167a", i) }

// ConsumerName is the consumer of ConsumerKey.
func ConsumerName(i int) string { return fmt.Sprintf("consumer-%d", i) }

// Networks may use a site with Correlation; the last one holds the client.
func (Site) Networks() []string {
	return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "2001:db8::/32", "127.0.0.0/8"}
}

// Consumer is one consumer for templates.
type Consumer struct{ Name, Key string }

// Consumers lists the consumers, none without KeyAuth.
func (s Site) Consumers() []Consumer {
	if !s.KeyAuth {
		return nil
	}
	out := make([]Consumer, Consumers)
	for i := range out {
		out[i] = Consumer{ConsumerName(i), ConsumerKey(i)}
	}
	return out
}

// Place is where a proxy works: everything a configuration needs beside the
// Site.
type Place struct {
	Site
	// Dir is the proxy's own, Backend the address of the backend.
	Dir, Backend string
	// Plain, TLS and H2C are ports on 127.0.0.1.
	Plain, TLS, H2C int
	// Status is a port for the proxy's own matters.
	Status int
	// Cert, Key and Both are PEM files.
	Cert, Key, Both string
	// Root says that the process may change its user.
	Root bool
	// Feeder serves the stream of a Streamed site.
	Feeder *feed.Feeder
}

// Ground is where all proxies of a run work.
type Ground struct {
	// Dir is the folder in which each has its own, Backend the address of the
	// backend.
	Dir, Backend string
	// ProxyCore and LoadCore are numbers of CPUs.
	ProxyCore, LoadCore int
	// Feeder is the program of feeders.
	Feeder string
}

// ports finds n free ports of the loopback address.
func ports(n int) ([]int, error) {
	out := make([]int, n)
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
		if err != nil {
			return nil, err
		}
		// All stay open until all are found, so that they differ.
		defer func() { _ = l.Close() }()
		out[i] = l.Addr().(*net.TCPAddr).Port
	}
	return out, nil
}
