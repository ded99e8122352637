// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/client"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestDeltas(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.2")
	p := w.run(w.proxy(nil))
	eventually(t, "a connection before there is a snapshot", func() bool { return p.State().Connected })
	if f := m.Facts(edge); f.Connected != 1 || f.Programmed != 0 {
		t.Fatalf("%+v", f)
	}
	m.publish(t, snapshot(t, 1, 1, "a=/1", "b=/1"))
	m.programmed(t, 1)
	if u := p.last(); !u.First || routes(u) != "a=/1 b=/1" || changed(u) != "a b" {
		t.Fatalf("first update: %v %q %q", u.First, routes(u), changed(u))
	}
	first := p.last()
	m.publish(t, snapshot(t, 1, 2, "b=/2", "c=/1"))
	eventually(t, "the second update", func() bool { return p.count() == 2 })
	m.programmed(t, 1)
	u := p.last()
	if u.First || routes(u) != "b=/2 c=/1" || changed(u) != "a b c" || u.Position.Sequence != 2 {
		t.Fatalf("second update: %v %q %q", u.First, routes(u), changed(u))
	}
	if _, ok := u.Entity(entity.Key{Kind: entity.KindRoute, ID: "a"}); ok || routes(first) != "a=/1 b=/1" {
		t.Fatal("an update is not immutable, or holds what was deleted")
	}
	f := m.Facts(edge)
	if len(f.Proxies) != 1 || f.Proxies[0].Version != "1.2.3" || f.Proxies[0].Node != "node" || f.Proxies[0].Identity.PodName != "pod-1" ||
		f.Proxies[0].Position != u.Position || f.Hash != u.Hash || !f.BehindSince.IsZero() {
		t.Fatalf("%+v", f)
	}
	if s := p.State(); !s.Connected || s.Address != "10.0.0.2:8005" || s.Hash != u.Hash || !s.Applied {
		t.Fatalf("%+v", s)
	}
}

func TestSettingsAndReports(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	one, two := netip.MustParseAddrPort("10.96.0.1:80"), netip.MustParseAddrPort("10.96.0.2:80")
	pending := configsync.ScopePending{Address: two, Since: time.UnixMilli(1234)}
	p := w.run(w.proxy(func(c *client.Config) {
		c.Report = func() configsync.Report {
			return configsync.Report{RequestsPerSecond: 7, ScopePending: []configsync.ScopePending{pending}, Errors: []string{"e"}}
		}
	}))
	build := func(sequence uint64, hash string, dial bool) configsync.Snapshot {
		s := snapshot(t, 1, sequence, "a=/")
		edit := s.Records.Edit()
		add := func(r *configsync.Record, err error) {
			if err != nil {
				t.Fatal(err)
			}
			edit.Put(r.Entry())
		}
		add(configsync.NewScopeRecord(one, configsync.ScopeEntry{EgressHash: "same"}))
		add(configsync.NewScopeRecord(two, configsync.ScopeEntry{EgressHash: hash}))
		if dial {
			add(configsync.NewDialPolicyRecord(configsync.DialPolicy{RefuseLocal: true}))
		}
		s.Records = edit.Done()
		return s
	}
	m.publish(t, build(1, "x", true))
	m.programmed(t, 1)
	u := p.last()
	if len(u.ChangedScope) != 2 || !u.DialChanged || u.Settings.Dial == nil || !u.Settings.Dial.RefuseLocal {
		t.Fatalf("%+v", u)
	}
	m.publish(t, build(2, "y", false))
	eventually(t, "the second update", func() bool { return p.count() == 2 })
	u = p.last()
	e, ok := u.Settings.Scope.Lookup(two)
	if !ok || e.EgressHash != "y" || !slices.Equal(u.ChangedScope, []netip.AddrPort{two}) || len(u.Changed) != 0 ||
		u.Settings.Dial != nil || !u.DialChanged {
		t.Fatalf("%+v %+v", u, e)
	}
	n := 0
	for range u.Settings.Scope.All() {
		n++
	}
	if n != 2 {
		t.Fatalf("%d addresses", n)
	}
	eventually(t, "the report", func() bool {
		f := m.Facts(edge)
		return len(f.Proxies) == 1 && f.Proxies[0].Report.RequestsPerSecond == 7 &&
			slices.Equal(f.Proxies[0].Report.ScopePending, []configsync.ScopePending{pending})
	})
}

func TestRejections(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	p := w.proxy(nil)
	key := entity.Key{Kind: entity.KindRoute, ID: "bad"}
	p.reject = func(u client.Update) []configsync.Rejection {
		if e, ok := u.Entity(key); ok && e.(*entity.Route).Paths[0] == "~[" {
			return []configsync.Rejection{{Key: key, Name: "n", Field: "paths[0]", Reason: "not a regular expression"}}
		}
		return nil
	}
	w.run(p)
	m.publish(t, snapshot(t, 1, 1, "good=/", "bad=~["))
	m.programmed(t, 1)
	f := m.Facts(edge)
	if len(f.Rejections) != 1 || f.Rejections[0].Key != key || f.Rejections[0].Field != "paths[0]" || f.Rejections[0].Proxies != 1 || f.Proxies[0].Rejected != 1 {
		t.Fatalf("%+v", f.Rejections)
	}
	// A change of something else does not make it forgotten.
	m.publish(t, snapshot(t, 1, 2, "good=/other", "bad=~["))
	eventually(t, "the second update", func() bool { return p.count() == 2 })
	m.programmed(t, 1)
	if f := m.Facts(edge); len(f.Rejections) != 1 {
		t.Fatalf("%+v", f.Rejections)
	}
	m.publish(t, snapshot(t, 1, 3, "good=/other", "bad=/fixed"))
	eventually(t, "no rejection", func() bool { f := m.Facts(edge); return f.Programmed == 1 && len(f.Rejections) == 0 })
	if m.changes.Load() == 0 {
		t.Fatal("nobody was told")
	}
}

// TestUndecodableRecord: the client itself rejects what it cannot read, and
// the rest is served.
func TestUndecodableRecord(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	p := w.run(w.proxy(nil))
	s := snapshot(t, 1, 1, "good=/")
	edit := s.Records.Edit()
	key := entity.Key{Kind: entity.KindRoute, ID: "odd"}
	edit.Put(configsync.RawRecord(key, "", []byte(`{"id":"odd","from_the_future":true}`)).Entry())
	s.Records = edit.Done()
	m.publish(t, s)
	m.programmed(t, 1)
	if f := m.Facts(edge); len(f.Rejections) != 1 || f.Rejections[0].Key != key || !strings.Contains(f.Rejections[0].Reason, "from_the_future") {
		t.Fatalf("%+v", f.Rejections)
	}
	if u := p.last(); routes(u) != "good=/" || u.Hash != s.Records.Hash() {
		t.Fatalf("served: %q", routes(u))
	}
	m.publish(t, snapshot(t, 1, 2, "good=/"))
	eventually(t, "no rejection", func() bool { f := m.Facts(edge); return f.Programmed == 1 && len(f.Rejections) == 0 })
}

func numbered(t testing.TB, term, sequence uint64, n int, more ...string) configsync.Snapshot {
	t.Helper()
	for i := range n {
		more = append(more, fmt.Sprintf("route-%05d=/a/path/that/takes/some/bytes/%d", i, i))
	}
	return snapshot(t, term, sequence, more...)
}

// TestReconnectAndLeaderChange counts the bytes that a reconnecting proxy
// receives: only differences, from the same manager and from the next one.
func TestReconnectAndLeaderChange(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	p := w.run(w.proxy(nil))
	m.publish(t, numbered(t, 1, 7, 20_000))
	m.programmed(t, 1)
	full := w.read.Swap(0)
	m.Forget(edge) // ends the stream
	m.publish(t, numbered(t, 1, 8, 20_000, "new=/"))
	eventually(t, "the new route", func() bool { return changed(p.last()) == "new" })
	m.programmed(t, 1)
	if again := w.read.Swap(0); again > full/50 {
		t.Errorf("reconnecting took %d bytes, the first time %d", again, full)
	}
	m.stop()
	next := w.lead("10.0.0.3")
	next.publish(t, numbered(t, 2, 1, 20_000, "newer=/"))
	eventually(t, "the next leader's route", func() bool { return changed(p.last()) == "new newer" })
	next.programmed(t, 1)
	if again := w.read.Load(); again > full/50 {
		t.Errorf("changing to another leader took %d bytes, the first time %d", again, full)
	}
	if s := p.State(); s.Address != "10.0.0.3:8005" || s.Position != (configsync.Position{Term: 2, Sequence: 1}) {
		t.Fatalf("%+v", s)
	}
	t.Logf("first %d bytes, leader change %d bytes", full, w.read.Load())
}

func TestNeverBack(t *testing.T) {
	w := newWorld(t)
	young := w.lead("10.0.0.1")
	p := w.run(w.proxy(nil))
	young.publish(t, snapshot(t, 2, 3, "a=/young"))
	young.programmed(t, 1)
	if err := young.Publish(edge, snapshot(t, 2, 2, "a=/x")); err == nil {
		t.Fatal("the server published an earlier snapshot")
	}
	young.stop()
	stale := w.lead("10.0.0.2")
	stale.publish(t, snapshot(t, 1, 99, "a=/stale"))
	if got := <-stale.ahead; got != (configsync.Position{Term: 2, Sequence: 3}) {
		t.Fatalf("ahead by %s", got)
	}
	if p.count() != 1 || routes(p.last()) != "a=/young" {
		t.Fatal("the proxy went back")
	}
	// A leader that made sure that it leads publishes under a higher term.
	stale.publish(t, snapshot(t, 3, 1, "a=/stale"))
	eventually(t, "the raised snapshot", func() bool { return routes(p.last()) == "a=/stale" })
}

func TestColdStart(t *testing.T) {
	w := newWorld(t)
	dir, data := t.TempDir(), t.TempDir()
	s := numbered(t, 4, 2, 3000)
	write := func(s configsync.Snapshot) {
		shards, err := shard.Encode(shard.Snapshot{Position: s.Position, Records: s.Records}, shard.Limits{Bytes: 10 << 10})
		if err != nil || len(shards) < 3 {
			t.Fatal(err, len(shards))
		}
		for i, b := range shards {
			w.write(filepath.Join(dir, shard.FileName(i)), b)
		}
	}
	directories := func(c *client.Config) { c.SnapshotDir, c.DataDir = dir, data }
	if loaded, err := w.proxy(directories).Load(t.Context()); loaded || err != nil {
		t.Fatal("nothing there", loaded, err)
	}
	write(s)
	p := w.proxy(directories)
	if loaded, err := p.Load(t.Context()); !loaded || err != nil {
		t.Fatal(loaded, err)
	}
	if u := p.last(); !u.First || len(u.Changed) != 3000 || u.Position != s.Position || !p.State().Applied || p.State().Connected {
		t.Fatalf("%v %d %s", u.First, len(u.Changed), u.Position)
	}
	// The manager comes back with the same content under another term.
	m := w.lead("10.0.0.1")
	w.run(p)
	m.publish(t, configsync.Snapshot{Position: configsync.Position{Term: 5, Sequence: 1}, Records: s.Records})
	m.programmed(t, 1)
	if p.count() != 1 {
		t.Fatal("the data plane was bothered with what it has")
	}
	m.publish(t, numbered(t, 5, 2, 3000, "new=/"))
	eventually(t, "the change", func() bool { return changed(p.last()) == "new" })
	m.programmed(t, 1)
	p.stop()
	// What it held last lies on disk for the restarted container, and is newer
	// than the Secrets.
	again := w.proxy(directories)
	if loaded, err := again.Load(t.Context()); !loaded || err != nil || again.last().Position != (configsync.Position{Term: 5, Sequence: 2}) {
		t.Fatal(loaded, err, again.last().Position)
	}
	// Torn Secrets are refused, and said to be.
	w.write(filepath.Join(dir, shard.FileName(1)), nil)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	var torn *shard.TornError
	if loaded, err := w.proxy(directories).Load(t.Context()); loaded || !errors.As(err, &torn) {
		t.Fatal(loaded, err)
	}
}

func TestOlderProxy(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	older := configsync.CoreSchemas()
	for i, s := range older {
		if s.Name == "routes" {
			older[i] = configsync.NewSchema("routes", slices.DeleteFunc(slices.Clone(s.Fields), func(f string) bool { return f == "strip_path" }))
		}
	}
	older = slices.DeleteFunc(older, func(s configsync.Schema) bool { return s.Name == "vaults" })
	p := w.run(w.proxy(func(c *client.Config) { c.Schemas = older }))
	no := false
	s := snapshot(t, 1, 1, "plain=/")
	edit := s.Records.Edit()
	edit.Put(record(t, &entity.Route{ID: "new", Paths: []string{"/new"}, StripPath: &no}).Entry())
	edit.Put(record(t, &entity.Vault{ID: "v", Name: "env", Prefix: "p"}).Entry())
	s.Records = edit.Done()
	m.publish(t, s)
	m.programmed(t, 1)
	u := p.last()
	e, ok := u.Entity(entity.Key{Kind: entity.KindRoute, ID: "new"})
	if !ok || e.(*entity.Route).StripPath != nil || len(u.Set().Vaults) != 0 || routes(u) != "new=/new plain=/" {
		t.Fatalf("%v %+v", ok, e)
	}
	f := m.Facts(edge)
	if len(f.Omissions) != 2 || f.Omissions[0].Field != "strip_path" || f.Omissions[0].Key.ID != "new" || f.Omissions[1].Key.ID != "v" || f.Omissions[0].Proxies != 1 {
		t.Fatalf("%+v", f.Omissions)
	}
	// Changes go on flowing.
	m.publish(t, snapshot(t, 1, 2, "plain=/2"))
	eventually(t, "the change", func() bool { return routes(p.last()) == "plain=/2" })
	m.programmed(t, 1)
	if f := m.Facts(edge); len(f.Omissions) != 0 {
		t.Fatalf("%+v", f.Omissions)
	}
}

func TestSlowProxyGetsTheNewest(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	slow := w.proxy(nil)
	entered, release := make(chan struct{}, 100), make(chan struct{})
	slow.reject = func(client.Update) []configsync.Rejection {
		entered <- struct{}{}
		<-release
		return nil
	}
	second := filepath.Join(t.TempDir(), "token")
	w.write(second, []byte("pod-2"))
	quick := w.proxy(func(c *client.Config) { c.TokenFile = second; c.Pod = client.Pod{Name: "pod-2", UID: "uid-pod-2"} })
	w.run(slow)
	w.run(quick)
	before := time.Now()
	m.publish(t, snapshot(t, 1, 1, "a=/1"))
	<-entered
	for i := uint64(2); i <= 30; i++ {
		m.publish(t, snapshot(t, 1, i, fmt.Sprintf("a=/%d", i)))
	}
	m.programmed(t, 1) // the quick one
	eventually(t, "the newest at the quick one", func() bool { return routes(quick.last()) == "a=/30" })
	f := m.Facts(edge)
	if f.Connected != 2 || f.BehindSince.Before(before) || f.BehindSince.After(time.Now()) {
		t.Fatalf("%+v", f)
	}
	if i := slices.IndexFunc(f.Proxies, func(x server.Proxy) bool { return x.Identity.PodName == "pod-1" }); f.Proxies[i].Programmed || !f.Proxies[i].Behind(f.BehindSince.Add(10*time.Second)) || f.Proxies[i].Behind(f.BehindSince.Add(9*time.Second)) {
		t.Fatalf("%+v", f.Proxies[i])
	}
	close(release)
	m.programmed(t, 2)
	if n := slow.count(); n != 2 || routes(slow.last()) != "a=/30" {
		t.Fatalf("the slow proxy applied %d updates", n)
	}
}

// TestLateRejection: what is found out after Apply returned reaches the
// manager without another delta.
func TestLateRejection(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	p := w.run(w.proxy(nil))
	m.publish(t, snapshot(t, 1, 1, "good=/"))
	m.programmed(t, 1)
	key := entity.Key{Kind: entity.KindRoute, ID: "late"}
	p.Reject([]configsync.Rejection{{Key: key, Name: "n", Field: "service", Reason: "no such service"}})
	eventually(t, "the late rejection", func() bool {
		f := m.Facts(edge)
		return f.Programmed == 1 && len(f.Rejections) == 1 && f.Rejections[0].Key == key
	})
	p.Reject(nil)
	eventually(t, "no rejection", func() bool { return len(m.Facts(edge).Rejections) == 0 })
	if n := p.count(); n != 1 {
		t.Fatalf("%d updates, want the first only", n)
	}
}
