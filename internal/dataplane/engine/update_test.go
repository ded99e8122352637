// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

// updated is an engine that is not served, with the count of its plugins' lives.
type updated struct {
	*Engine
	schemas      entity.SchemaSet
	made, closed atomic.Int64
}

func newUpdated(t testing.TB) *updated {
	t.Helper()
	u := &updated{}
	var known []entity.PluginSchema
	var registrations []plugin.Registration
	for i := range 3 {
		p := entity.PluginSchema{
			Name: fmt.Sprint("probe-", i), Protocols: entity.HTTPProtocols(),
			Config: schema.NewRecord(schema.String("tag"), schema.Integer("number")),
		}
		if i == 0 {
			p.Credentials = []entity.CredentialType{{Collection: "probe_keys", UniqueKey: "key", Record: schema.NewRecord(schema.String("key"))}}
		}
		known = append(known, p)
		registrations = append(registrations, plugin.Registration{Name: p.Name, Priority: i, Configure: func(c plugin.Config) (*plugin.Phases, error) {
			if c.Values["tag"] == "unusable" {
				return nil, errors.New("tag is unusable")
			}
			u.made.Add(1)
			phases := &plugin.Phases{Access: func(plugin.Exchange) {}, Close: func() { u.closed.Add(1) }}
			phases.Needs.ClientCertificate = c.Values["tag"] == "asks"
			return phases, nil
		}})
	}
	var err error
	if u.schemas, err = entity.NewSchemaSet(known...); err != nil {
		t.Fatal(err)
	}
	catalog, err := pipeline.NewCatalog(&plugintest.Host{}, u.schemas, registrations...)
	if err != nil {
		t.Fatal(err)
	}
	u.Engine, err = New(Options{
		Settings: DefaultSettings(), Catalog: catalog, Schemas: u.schemas, Dialer: &net.Dialer{}, Product: "kong/test",
		Logger: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context, string) ([]balancer.Address, time.Time, error) {
			return nil, time.Time{}, errors.New("not in this test")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = u.Drain(ctx)
		if u.made.Load() != u.closed.Load() {
			t.Errorf("%d instances were made, %d closed", u.made.Load(), u.closed.Load())
		}
	})
	return u
}

// world makes random entities out of few names, so that they meet each other.
type world struct{ *rand.Rand }

func (w world) id(name string) entity.ID {
	return entity.ID(fmt.Sprintf("%08x-0000-4000-8000-%012x", len(name), w.IntN(5)))
}

func (w world) ref(kind string) *entity.Ref {
	if w.IntN(3) == 0 {
		return nil
	}
	return &entity.Ref{ID: w.id(kind)}
}

func (w world) host() string {
	return []string{"up-0.test", "up-1.test", "10.0.0.1", "plain.test"}[w.IntN(4)]
}

// kinds of entities; the length of a name is part of the ids.
var worldKinds = []string{"svc", "route", "upstream", "target", "plugin-x", "consumer-", "group-----", "credential-", "ca----------", "sni----------"}

func (w world) entity(kind string) entity.Entity {
	id := w.id(kind)
	number := func(n int) *int { v := w.IntN(n); return &v }
	switch kind {
	case "svc":
		s := &entity.Service{ID: id, Name: string(id), Host: w.host(), Protocol: entity.Protocol([]string{"http", "https", "tcp", "ws"}[w.IntN(4)])}
		if w.IntN(3) == 0 {
			s.Retries = number(5)
		}
		if w.IntN(4) == 0 {
			s.CACertificates = []entity.ID{w.id("ca----------")}
		}
		if w.IntN(5) == 0 {
			s.Retries = number(-1 + 2)
			*s.Retries = -1 // not valid
		}
		return s
	case "route":
		r := &entity.Route{ID: id, Name: string(id), Service: w.ref("svc")}
		if w.IntN(2) == 0 {
			r.Hosts = []string{[]string{"a.test", "*.b.test", "c.*"}[w.IntN(3)]}
		}
		r.Paths = [][]string{{"/"}, {"/x/", "~/x$"}, {`~/\d+`}, {"~/(broken"}, nil}[w.IntN(5)]
		if w.IntN(4) == 0 {
			r.SNIs = []string{fmt.Sprintf("s%d.test", w.IntN(2))}
		}
		return r
	case "upstream":
		u := &entity.Upstream{ID: id, Name: fmt.Sprintf("up-%d.test", w.IntN(2))}
		if w.IntN(4) == 0 {
			u.Algorithm = "none such"
		}
		return u
	case "target":
		return &entity.Target{ID: id, Upstream: &entity.Ref{ID: w.id("upstream")}, Target: fmt.Sprintf("10.0.%d.1:80", w.IntN(9))}
	case "plugin-x":
		p := &entity.Plugin{ID: id, Name: fmt.Sprint("probe-", w.IntN(3)), Route: w.ref("route"), Service: w.ref("svc")}
		if w.IntN(3) == 0 {
			p.Consumer = w.ref("consumer-")
		} else if w.IntN(3) == 0 {
			p.ConsumerGroup = w.ref("group-----")
		}
		p.Config = []map[string]any{{"tag": "a"}, {"tag": "b"}, {"tag": "asks"}, {"tag": "unusable"}, {"number": "wrong"}}[w.IntN(5)]
		return p
	case "consumer-":
		c := &entity.Consumer{ID: id, Username: fmt.Sprint("user-", w.IntN(3))}
		for range w.IntN(3) {
			c.Groups = append(c.Groups, entity.Ref{ID: w.id("group-----")})
		}
		slices.SortFunc(c.Groups, func(a, b entity.Ref) int { return strings.Compare(string(a.ID), string(b.ID)) })
		c.Groups = slices.Compact(c.Groups)
		return c
	case "group-----":
		return &entity.ConsumerGroup{ID: id, Name: fmt.Sprint("group-", w.IntN(3))}
	case "credential-":
		return &entity.Credential{ID: id, Type: "probe_keys", Consumer: &entity.Ref{ID: w.id("consumer-")}, Fields: map[string]any{"key": fmt.Sprint("key-", w.IntN(4))}}
	case "ca----------":
		return &entity.CACertificate{ID: id, Cert: "not a certificate"}
	default:
		return &entity.SNI{ID: id, Name: fmt.Sprintf("s%d.test", w.IntN(2)), Certificate: &entity.Ref{ID: "none"}}
	}
}

// describeAll describes all that a snapshot does.
func describeAll(s *snapshot) string {
	var b strings.Builder
	for _, r := range s.rejections(nil) {
		fmt.Fprintf(&b, "rejected %v\n", r)
	}
	identities := []plugin.Identity{{}}
	w := world{rand.New(rand.NewPCG(0, 0))}
	for n := range 5 {
		id := entity.ID(fmt.Sprintf("%08x-0000-4000-8000-%012x", len("consumer-"), n))
		c := s.people.Consumer(id)
		named := s.people.ConsumerByName(fmt.Sprint("user-", n))
		fmt.Fprintf(&b, "consumer %d: %v, by name %v", n, c, named)
		if key := s.people.Credential("probe_keys", fmt.Sprint("key-", n)); key != nil {
			fmt.Fprintf(&b, ", key %s", key.ID)
		}
		b.WriteString(", credentials")
		for _, owned := range s.people.Credentials("probe_keys", id) {
			fmt.Fprintf(&b, " %s", owned.ID)
		}
		if c != nil {
			identities = append(identities, plugin.Identity{Consumer: c, Groups: s.people.Groups(c)})
			for _, g := range s.people.Groups(c) {
				fmt.Fprintf(&b, " %s=%s", g.ID, g.Name)
			}
		}
		b.WriteString("\n")
	}
	for _, name := range []string{"s0.test", "s1.test", "other.test"} {
		fmt.Fprintf(&b, "asks %s: %t\n", name, s.asks.of(name))
	}
	for _, host := range []string{"a.test", "x.b.test", "c.test", "d.test"} {
		for _, path := range []string{"/", "/x/y", "/x", "/77"} {
			in := &router.Input{Host: host, Path: path, Method: "GET", TLS: w.IntN(2) == 0, SNI: "s0.test"}
			m, ok := s.router.Match(in)
			if !ok {
				fmt.Fprintf(&b, "%s%s: no route\n", host, path)
				continue
			}
			fmt.Fprintf(&b, "%s%s: %s %s", host, path, m.Route.Entity.ID, m.BuildPath(nil))
			describeService(&b, s, m.Route)
			for _, id := range identities {
				fmt.Fprintf(&b, " [%s]", strings.Join(picks(s.planOf(m.Route), id), " "))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func describeService(b *strings.Builder, s *snapshot, r *router.Route) {
	svc := s.serviceOf(r)
	if svc == nil {
		b.WriteString(" without service")
		return
	}
	fmt.Fprintf(b, " to %s %s:%d retries %d tls %q", svc.scheme, svc.host, svc.port, svc.retries, svc.tlsID)
	if svc.entity != r.Service {
		b.WriteString(" which is another one than the route's")
	}
	if svc.upstream != nil {
		fmt.Fprintf(b, " upstream %s", svc.upstream.ID)
	}
	for _, p := range svc.balancer.Peers() {
		fmt.Fprintf(b, " %s", p.Target)
	}
}

func picks(plan *pipeline.Plan, id plugin.Identity) (out []string) {
	x := pipeline.NewExchange(pipeline.NewLifetime(context.Background()))
	x.Authenticate(id)
	x.Collect(plan)
	for _, in := range x.Picked() {
		out = append(out, fmt.Sprint(string(in.Plugin.ID[35:]), in.Plugin.Config))
	}
	return out
}

func setOf(all map[entity.Key]entity.Entity) *entity.Set {
	set := &entity.Set{}
	for _, e := range slices.SortedFunc(maps.Values(all), func(a, b entity.Entity) int { return strings.Compare(string(a.EntityID()), string(b.EntityID())) }) {
		set.Add(e)
	}
	return set
}

// TestUpdatesAgainstWhole makes random changes: what comes of them is what the
// whole configuration gives when it is applied at once, to an engine that ran
// nothing before and to one that ran the one before. Meanwhile others use what
// is there.
func TestUpdatesAgainstWhole(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := world{rand.New(rand.NewPCG(seed, 99))}
			steps, whole := newUpdated(t), newUpdated(t)
			stop := use(steps.Engine)
			defer stop()
			all := map[entity.Key]entity.Entity{}
			for n := range 60 {
				delta := w.delta(all)
				rejected := steps.Update(delta)
				set := setOf(all)
				got := describeAll(steps.current.Load())
				fresh := newUpdated(t)
				fresh.Apply(set)
				if want := describeAll(fresh.current.Load()); got != want {
					t.Fatalf("change %d %v\ngives\n%s\nnot\n%s", n, delta, got, want)
				}
				if again := whole.Apply(set); !slices.Equal(again, rejected) {
					t.Fatalf("change %d: rejected %v, want %v", n, rejected, again)
				}
				if other := describeAll(whole.current.Load()); other != got {
					t.Fatalf("change %d of the whole gives\n%s\nnot\n%s", n, other, got)
				}
			}
			everything := entity.Delta{Removed: slices.Collect(maps.Keys(all))}
			if rejected := steps.Update(everything); len(rejected) > 0 {
				t.Errorf("nothing is left, but %v", rejected)
			}
			last := steps.current.Load()
			for name, n := range map[string]int{
				"services": last.services.Len(), "routes": last.routes.Len(), "upstreams": last.upstreams.Len(), "targets": last.targets.Len(),
				"upstream names": last.byName.Len(), "hosts": last.byHost.Len(), "routes of services": last.byService.Len(),
				"targets of upstreams": last.byUpstream.Len(), "uses of certificates": last.byCertificate.Len(),
				"asking": last.asking.Len() + last.asks.everyone + last.asks.phases, "problems": last.problems.Len(), "orders": last.orders.Len(),
				"router": last.router.Len(), "members": last.people.members.Len(), "keys": last.people.byKey.Len(), "owned": last.people.owned.Len(),
			} {
				if n != 0 {
					t.Errorf("%d %s are left over", n, name)
				}
			}
		})
	}
}

// delta changes all at random and returns the change, in no particular order.
func (w world) delta(all map[entity.Key]entity.Entity) (d entity.Delta) {
	changed := map[entity.Key]bool{}
	for range 1 + w.IntN(6) {
		e := w.entity(worldKinds[w.IntN(len(worldKinds))])
		key := entity.KeyOf(e)
		if changed[key] {
			continue
		}
		changed[key] = true
		if w.IntN(4) == 0 {
			delete(all, key)
			d.Removed = append(d.Removed, key)
			continue
		}
		all[key] = e
		d.Put = append(d.Put, e)
	}
	w.Shuffle(len(d.Put), func(i, j int) { d.Put[i], d.Put[j] = d.Put[j], d.Put[i] })
	return d
}

// use looks at what runs until it is stopped, as requests do.
func use(e *Engine) (stop func()) {
	var all sync.WaitGroup
	over := make(chan struct{})
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					describeAll(e.current.Load())
				}
			}
		})
	}
	return func() { close(over); all.Wait() }
}
