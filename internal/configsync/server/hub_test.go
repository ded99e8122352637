// SPDX-License-Identifier: Apache-2.0

package server

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

var pod = Identity{Gateway: configsync.Gateway{Namespace: "n", Name: "g"}, PodName: "p", PodUID: "u"}

// TestBehindIsTold: when a proxy has been behind for ten seconds somebody is
// told, without anything else happening; when it caught up, nobody is.
func TestBehindIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		h := newHub(configsync.CoreSchemas(), func() { told.Add(1) })
		hello := &wire.Hello{Schemas: wire.EncodeSchemas(configsync.CoreSchemas())}
		s, err := h.join(pod, hello, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		publish := func(sequence uint64) configsync.Snapshot {
			snapshot := snap(t, 1, sequence, "a=/")
			if err := h.publish(snapshot, time.Now()); err != nil {
				t.Fatal(err)
			}
			return snapshot
		}
		first := publish(1)
		if _, err := h.next(s); err != nil {
			t.Fatal(err)
		}
		told.Store(0)
		time.Sleep(BehindAfter - time.Millisecond)
		synctest.Wait()
		if told.Load() != 0 {
			t.Error("told too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if told.Load() != 1 {
			t.Errorf("told %d times after %s", told.Load(), BehindAfter)
		}
		ack := &wire.Ack{Position: wire.EncodePosition(first.Position), SnapshotHash: wire.EncodeHash(first.Records.Hash())}
		if err := h.ack(s, ack); err != nil {
			t.Fatal(err)
		}
		told.Store(0)
		time.Sleep(time.Hour)
		synctest.Wait()
		if told.Load() != 0 {
			t.Error("told about a proxy that is up to date")
		}
		publish(2)
		h.leave(s)
		told.Store(0)
		time.Sleep(time.Hour)
		synctest.Wait()
		if told.Load() != 0 || len(h.views) != 0 || len(h.sessions) != 0 {
			t.Error("a proxy that left is still there")
		}
	})
}

func TestPublishIsMonotonous(t *testing.T) {
	h := newHub(nil, func() {})
	for _, c := range []struct {
		snapshot configsync.Snapshot
		ok       bool
	}{
		{snap(t, 2, 5, "a=/"), true},
		{snap(t, 2, 5, "a=/"), true}, // the same again
		{snap(t, 2, 5, "a=/other"), false},
		{snap(t, 2, 4, "a=/"), false},
		{snap(t, 1, 9, "a=/"), false},
		{snap(t, 3, 1, "a=/"), true},
	} {
		if err := h.publish(c.snapshot, time.Now()); (err == nil) != c.ok {
			t.Errorf("snapshot %s: %v", c.snapshot.Position, err)
		}
	}
}

// FuzzFromProxy sends what a proxy might into a hub: nothing of it may panic.
func FuzzFromProxy(f *testing.F) {
	s := snap(f, 1, 1, "a=/")
	for _, m := range []*wire.FromProxy{
		{Message: &wire.FromProxy_Hello{Hello: &wire.Hello{
			Schemas: wire.EncodeSchemas(configsync.CoreSchemas()[:1]), Held: wire.EncodeHeld(s.Records), Position: &wire.Position{Term: 1},
		}}},
		{Message: &wire.FromProxy_Ack{Ack: &wire.Ack{
			Position: wire.EncodePosition(s.Position), SnapshotHash: wire.EncodeHash(s.Records.Hash()), Rejected: []*wire.Rejection{nil, {}},
		}}},
		{Message: &wire.FromProxy_Report{Report: &wire.Report{ScopePending: []*wire.ScopePending{{Address: "10.0.0.1:80"}}}}},
	} {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.FromProxy
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		h := newHub(configsync.CoreSchemas(), func() {})
		hello := &wire.Hello{}
		if got := m.GetHello(); got != nil {
			hello = got
		}
		s, err := h.join(pod, hello, epoch)
		if err != nil {
			return
		}
		defer h.leave(s)
		if err := h.publish(snap(t, 1, 1, "a=/"), epoch); err != nil {
			t.Fatal(err)
		}
		if p, err := h.next(s); err == nil {
			p.delta()
		}
		c := &conversation{}
		if m.GetHello() == nil && c.handle(h, s, &m) == nil && m.GetAck() != nil && !s.machine.programmed() {
			t.Fatal("an accepted ack programmed nothing")
		}
		h.facts()
	})
}
