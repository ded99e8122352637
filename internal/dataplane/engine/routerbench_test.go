// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bytes"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// routerLayouts are sets of routes, with a request for one in the middle.
var routerLayouts = []struct {
	name       string
	routes     int
	route      func(n int) *entity.Route
	host, path string
	end        string // of the answer
}{
	{"prefix-paths-on-one-host", 5000, ingressRoute("h.test"), "h.test", "/app-2500/x", "abc"},
	{"host-less", 5000, ingressRoute(), "h.test", "/app-2500/x", "abc"},
	{"wildcard-hosts", 5000, func(n int) *entity.Route {
		return &entity.Route{Hosts: []string{fmt.Sprintf("*.h%d.test", n)}, Paths: []string{"/"}}
	}, "a.h2500.test", "/x", "abc"},
	{"miss", 5000, ingressRoute("h.test"), "h.test", "/none", "}"},
	{"true-regexes", 500, func(n int) *entity.Route {
		return &entity.Route{Hosts: []string{"h.test"}, Paths: []string{fmt.Sprintf(`~/app-%d/\d+/[a-z]+$`, n)}}
	}, "h.test", "/app-250/77/x", "abc"},
	{"true-regexes-alike", 500, func(n int) *entity.Route {
		return &entity.Route{Hosts: []string{"h.test"}, Paths: []string{fmt.Sprintf(`~/v\d+/app-%d$`, n)}}
	}, "h.test", "/v1/app-250", "abc"},
}

func ingressRoute(hosts ...string) func(n int) *entity.Route {
	return func(n int) *entity.Route {
		return &entity.Route{Hosts: hosts, Paths: []string{fmt.Sprintf("/app-%d/", n), fmt.Sprintf("~/app-%d$", n)}}
	}
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRouters reports the CPU time of whole requests against gateways with
// many routes, as a multiple of that against a gateway with one of these
// routes. Both are asked by turns. Client and upstream are part of both times,
// so the ratio is a little smaller than that of the gateway alone.
func BenchmarkRouters(b *testing.B) {
	up := quickUpstream(b)
	for _, l := range routerLayouts {
		b.Run(l.name, func(b *testing.B) {
			start := func(from, to int) []*quickClient {
				r := startRig(b, service(up, ""), rigOptions{})
				base := r.decoded(service(up, ""))
				d := entity.Delta{Removed: []entity.Key{entity.KeyOf(base["r"])}}
				for n := from; n < to; n++ {
					route := l.route(n)
					route.ID, route.Service = testID(1, n), &entity.Ref{ID: base["s"].EntityID()}
					d.Put = append(d.Put, route)
				}
				if rejected := r.Update(d); len(rejected) > 0 {
					b.Fatal(rejected)
				}
				var clients []*quickClient
				for range 8 {
					clients = append(clients, newQuickClient(b, r.plain))
				}
				return clients
			}
			request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", l.path, l.host)
			many, one := start(0, l.routes), start(l.routes/2, l.routes/2+1)
			var manyTook, oneTook time.Duration
			for b.Loop() {
				manyTook += ask(b, many, request, l.end)
				oneTook += ask(b, one, request, l.end)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(oneTook)/float64(b.N*askedRequests), "cpu-ns-one")
			b.ReportMetric(float64(manyTook)/float64(b.N*askedRequests), "cpu-ns-many")
			b.ReportMetric(float64(manyTook)/float64(oneTook), "many/one")
		})
	}
}

// askedRequests is how many requests ask sends.
const askedRequests = 2000

// ask sends requests and returns the CPU time of the process meanwhile.
func ask(b *testing.B, clients []*quickClient, request []byte, end string) time.Duration {
	began := processCPU()
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for range askedRequests / len(clients) {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				for n := 0; !bytes.HasSuffix(c.buf[:n], []byte(end)); {
					m, err := c.Read(c.buf[n:])
					if err != nil {
						b.Error(err)
						return
					}
					n += m
				}
			}
		})
	}
	all.Wait()
	return processCPU() - began
}
