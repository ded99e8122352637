// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func routeRecord(t testing.TB, id, path string) *configsync.Record {
	t.Helper()
	r, err := configsync.NewRecord(&entity.Route{ID: entity.ID(id), Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// snap returns a snapshot with one route per word "id=path".
func snap(t testing.TB, term, sequence uint64, routes ...string) configsync.Snapshot {
	t.Helper()
	edit := configsync.Records{}.Edit()
	for _, r := range routes {
		id, path, _ := strings.Cut(r, "=")
		edit.Put(routeRecord(t, id, path).Entry())
	}
	return configsync.Snapshot{Position: configsync.Position{Term: term, Sequence: sequence}, Records: edit.Done()}
}

func toTarget(s configsync.Snapshot) target { return target{s.Position, s.Records} }

// sent describes what the machine sends now: "+id" and "-n deletes", or nothing.
func sent(t *testing.T, m *machine) string {
	t.Helper()
	p, err := m.next()
	if err != nil {
		return "error: " + err.Error()
	}
	if p == nil {
		return "nothing"
	}
	d := p.delta()
	var words []string
	for _, r := range d.upserts {
		words = append(words, "+"+string(r.Key.ID))
	}
	slices.Sort(words)
	if len(d.deletes) > 0 {
		words = append(words, fmt.Sprintf("-%d", len(d.deletes)))
	}
	return fmt.Sprintf("%s %s", d.to.position, strings.Join(words, " "))
}

func (m *machine) must(t *testing.T, s configsync.Snapshot) {
	t.Helper()
	if err := m.ack(s.Position, s.Records.Hash(), nil, 0); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != want {
		t.Fatalf("sent %q, want %q", got, want)
	}
}

var epoch = time.Unix(1_000_000, 0)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func TestOneInFlightNewestWins(t *testing.T) {
	m := newMachine(configsync.Position{}, configsync.Hash{}, map[configsync.Hash]wire.HeldHash{})
	expect(t, sent(t, m), "nothing")
	one, two, three := snap(t, 1, 1, "a=/1", "b=/1"), snap(t, 1, 2, "a=/2", "b=/1"), snap(t, 1, 3, "a=/2", "c=/1")
	m.publish(toTarget(one), at(0))
	expect(t, sent(t, m), "1/1 +a +b")
	m.publish(toTarget(two), at(1))
	m.publish(toTarget(three), at(2))
	expect(t, sent(t, m), "nothing") // one is on its way
	if m.programmed() || !m.behindSince.Equal(at(0)) {
		t.Fatal("behind since", m.behindSince)
	}
	m.must(t, one)
	if m.programmed() || !m.behindSince.Equal(at(1)) {
		t.Fatal("after the first ack it is behind since", m.behindSince)
	}
	expect(t, sent(t, m), "1/3 +a +c -1")
	m.must(t, three)
	if !m.programmed() || !m.behindSince.IsZero() {
		t.Fatal("not programmed")
	}
	expect(t, sent(t, m), "nothing")
}

func TestReconnectSendsOnlyTheDifference(t *testing.T) {
	held := snap(t, 1, 5, "a=/1", "b=/1", "gone=/1")
	list, err := wire.DecodeHeld(wire.EncodeHeld(held.Records))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		now  configsync.Snapshot
		want string
	}{
		{"the same snapshot", held, "1/5"},
		{"the same content of another leader", snap(t, 2, 1, "a=/1", "b=/1", "gone=/1"), "2/1"},
		{"changed meanwhile", snap(t, 1, 9, "a=/1", "b=/2", "new=/1"), "1/9 +b +new -1"},
		{"emptied meanwhile", snap(t, 2, 1), "2/1 -3"},
	} {
		m := newMachine(held.Position, held.Records.Hash(), list)
		m.publish(toTarget(c.now), at(0))
		if m.programmed() {
			t.Errorf("%s: programmed before it said so", c.name)
		}
		expect(t, sent(t, m), c.want)
		m.must(t, c.now)
		if !m.programmed() {
			t.Errorf("%s: not programmed", c.name)
		}
	}
}

func TestAProxyAheadIsNotSentBack(t *testing.T) {
	for _, c := range []struct{ proxy, ours configsync.Position }{
		{configsync.Position{Term: 2, Sequence: 1}, configsync.Position{Term: 1, Sequence: 50}},
		{configsync.Position{Term: 1, Sequence: 9}, configsync.Position{Term: 1, Sequence: 8}},
	} {
		m := newMachine(c.proxy, configsync.Hash{1}, map[configsync.Hash]wire.HeldHash{})
		m.publish(toTarget(snap(t, c.ours.Term, c.ours.Sequence, "a=/")), at(0))
		var ahead *aheadError
		if _, err := m.next(); !errors.As(err, &ahead) || ahead.proxy != c.proxy {
			t.Errorf("proxy %s, we %s: got %v", c.proxy, c.ours, err)
		}
	}
}

func TestAcksThatDoNotFit(t *testing.T) {
	one, two := snap(t, 1, 1, "a=/"), snap(t, 1, 2, "a=/2")
	m := newMachine(configsync.Position{}, configsync.Hash{}, map[configsync.Hash]wire.HeldHash{})
	if m.ack(one.Position, one.Records.Hash(), nil, 0) == nil {
		t.Error("an ack before anything was sent")
	}
	if m.ack(configsync.Position{}, configsync.Hash{}, nil, 0) == nil {
		t.Error("an ack of nothing")
	}
	m.publish(toTarget(one), at(0))
	expect(t, sent(t, m), "1/1 +a")
	m.publish(toTarget(two), at(1))
	for name, s := range map[string]configsync.Snapshot{
		"of what was published but not sent": two,
		"with another hash":                  {Position: one.Position, Records: two.Records},
		"with another position":              {Position: two.Position, Records: one.Records},
	} {
		if m.ack(s.Position, s.Records.Hash(), nil, 0) == nil {
			t.Errorf("an ack %s was accepted", name)
		}
	}
	m.must(t, one)
	// A second ack of what it holds brings rejections that were found later.
	late := []configsync.Rejection{{Reason: "found later"}}
	if err := m.ack(one.Position, one.Records.Hash(), late, 1); err != nil || m.rejectedTotal != 1 {
		t.Errorf("a second ack: %v, %d rejected", err, m.rejectedTotal)
	}
	if m.ack(one.Position, two.Records.Hash(), nil, 0) == nil {
		t.Error("a second ack with another hash")
	}
}

func TestRejectionsAreThoseOfTheLastAck(t *testing.T) {
	one, two := snap(t, 1, 1, "a=/"), snap(t, 1, 2, "a=/2")
	m := newMachine(configsync.Position{}, configsync.Hash{}, map[configsync.Hash]wire.HeldHash{})
	m.publish(toTarget(one), at(0))
	sent(t, m)
	rejected := []configsync.Rejection{{Key: entity.Key{Kind: entity.KindRoute, ID: "a"}, Field: "paths", Reason: "no"}}
	if err := m.ack(one.Position, one.Records.Hash(), rejected, 250); err != nil {
		t.Fatal(err)
	}
	if !m.programmed() || m.rejectedTotal != 250 || len(m.rejected) != 1 {
		t.Fatal("a rejection costs more than the entity, or is forgotten")
	}
	m.publish(toTarget(two), at(1))
	sent(t, m)
	m.must(t, two)
	if m.rejectedTotal != 0 || len(m.rejected) != 0 {
		t.Fatal("a rejection outlived its cause")
	}
}

func many(t testing.TB, n int) configsync.Records {
	t.Helper()
	edit := configsync.Records{}.Edit()
	for i := range n {
		edit.Put(routeRecord(t, fmt.Sprint("route-", i), "/some/path").Entry())
	}
	return edit.Done()
}

// TestDeltaDoesNotGrow compares the allocations for one changed entity in a
// small and in a large snapshot, from publish to ack, for a proxy that is
// understood in full and for one that needs its own view.
func TestDeltaDoesNotGrow(t *testing.T) {
	for name, theirs := range map[string][]configsync.Schema{
		"same version": configsync.CoreSchemas(), "older version": olderSchemas(),
	} {
		cost := func(n int) float64 {
			round := changeOne(t, n, theirs)
			return testing.AllocsPerRun(50, round)
		}
		small, large := cost(200), cost(20_000)
		if large > 2*small+20 {
			t.Errorf("%s: %.0f allocations for a change among 20,000, %.0f among 200", name, large, small)
		}
	}
}

// changeOne returns a function that changes one entity of n and brings a proxy
// up to date.
func changeOne(t testing.TB, n int, theirs []configsync.Schema) func() {
	records := many(t, n)
	v := newView(configsync.CoreSchemas(), theirs)
	v.advance(records)
	m := newMachine(configsync.Position{}, configsync.Hash{}, map[configsync.Hash]wire.HeldHash{})
	sequence := uint64(0)
	round := func() {
		sequence++
		m.publish(target{configsync.Position{Term: 1, Sequence: sequence}, v.records}, epoch)
		p, err := m.next()
		if err != nil || p == nil {
			t.Fatal(p, err)
		}
		d := p.delta()
		if sequence > 1 && len(d.upserts)+len(d.deletes) != 1 {
			t.Fatalf("%d upserts, %d deletes", len(d.upserts), len(d.deletes))
		}
		if err := d.messages(func(*wire.Delta) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := m.ack(d.to.position, d.to.records.Hash(), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	round()
	return func() {
		edit := records.Edit()
		edit.Put(routeRecord(t, "route-7", fmt.Sprint("/", sequence)).Entry())
		records = edit.Done()
		v.advance(records)
		round()
	}
}

func BenchmarkChangeOne(b *testing.B) {
	for _, n := range []int{200, 20_000} {
		round := changeOne(b, n, configsync.CoreSchemas())
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				round()
			}
		})
	}
}

// BenchmarkFull is the first delta of a proxy that holds nothing: what every
// change would cost without deltas.
func BenchmarkFull(b *testing.B) {
	records := many(b, 20_000)
	b.ReportAllocs()
	for b.Loop() {
		p := &plan{held: map[configsync.Hash]wire.HeldHash{}, to: target{records: records}}
		if err := p.delta().messages(func(*wire.Delta) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLargeDeltasAreCut(t *testing.T) {
	edit := configsync.Records{}.Edit()
	for i := range 40 {
		edit.Put(routeRecord(t, fmt.Sprint(i), "/"+strings.Repeat("x", 100_000)).Entry())
	}
	records := edit.Done()
	p := &plan{held: map[configsync.Hash]wire.HeldHash{{9}: {}}, to: target{configsync.Position{Term: 1, Sequence: 2}, records}}
	var parts []*wire.Delta
	if err := p.delta().messages(func(d *wire.Delta) error { parts = append(parts, d); return nil }); err != nil {
		t.Fatal(err)
	}
	upserts := 0
	for i, part := range parts {
		upserts += len(part.GetUpserts())
		if last := i == len(parts)-1; part.GetMore() == last {
			t.Errorf("part %d of %d says more=%v", i, len(parts), part.GetMore())
		}
	}
	last := parts[len(parts)-1]
	if len(parts) < 4 || upserts != 40 || len(last.GetDeletes()) != 16 || last.GetPosition().GetSequence() != 2 {
		t.Fatalf("%d parts, %d upserts", len(parts), upserts)
	}
}
