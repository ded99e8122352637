// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

// target is what a proxy is to hold.
type target struct {
	position configsync.Position
	records  configsync.Records
}

// plan is what a proxy holds and what it is to hold. Working out the difference
// is left to whoever sends it, so that it takes no lock.
type plan struct {
	base configsync.Records
	held map[configsync.Hash]wire.HeldHash
	hash configsync.Hash
	to   target
}

// delta is what brings a proxy to a target.
type delta struct {
	to      target
	upserts []*configsync.Record
	deletes []configsync.Hash
}

// machine decides what one proxy is sent, and knows how far it is. It holds no
// connection and reads no clock. At most one delta is on its way; whatever is
// published meanwhile waits, and only the newest of it is sent.
type machine struct {
	// What the proxy holds: after the first Ack a version of records that we
	// have ourselves, before that only what its Hello said.
	base     configsync.Records
	held     map[configsync.Hash]wire.HeldHash
	hash     configsync.Hash
	position configsync.Position

	want   *target // newest published
	flight *target // sent, not yet acknowledged

	behindSince time.Time // since when the proxy lacks something, or zero
	nextSince   time.Time // the same for what came after flight

	rejected      []configsync.Rejection
	rejectedTotal int
}

// newMachine starts from what a proxy's Hello says that it holds.
func newMachine(position configsync.Position, hash configsync.Hash, held map[configsync.Hash]wire.HeldHash) *machine {
	return &machine{position: position, hash: hash, held: held}
}

// aheadError says that a proxy holds a later position than we publish: we are
// not the leader any more, or the count of terms was lost.
type aheadError struct{ proxy, ours configsync.Position }

func (e *aheadError) Error() string {
	return fmt.Sprintf("the proxy holds snapshot %s, this manager only %s", e.proxy, e.ours)
}

// publish makes t what the proxy is to hold.
func (m *machine) publish(t target, now time.Time) {
	m.want = &t
	switch {
	case m.flight != nil:
		if m.nextSince.IsZero() {
			m.nextSince = now
		}
	case m.behindSince.IsZero():
		m.behindSince = now
	}
}

// next returns what to send now, if anything. It fails with *aheadError.
func (m *machine) next() (*plan, error) {
	if m.want == nil || m.flight != nil || m.behindSince.IsZero() {
		return nil, nil
	}
	if m.position.Compare(m.want.position) > 0 {
		return nil, &aheadError{m.position, m.want.position}
	}
	m.flight = m.want
	return &plan{base: m.base, held: m.held, hash: m.hash, to: *m.flight}, nil
}

// delta works out the difference. When the proxy holds a version that we have,
// the cost is that of what changed.
func (p *plan) delta() *delta {
	d := &delta{to: p.to}
	switch {
	case p.hash == p.to.records.Hash():
	case p.held != nil:
		d.fromHeld(p.held)
	default:
		content.Diff(p.base, p.to.records,
			func(e content.Entry[*configsync.Record]) { d.upserts = append(d.upserts, e.Value) },
			func(e content.Entry[*configsync.Record]) { d.deletes = append(d.deletes, e.Key) })
	}
	return d
}

// fromHeld compares with what a Hello said. This goes through everything, once
// per connection.
func (d *delta) fromHeld(held map[configsync.Hash]wire.HeldHash) {
	for e := range d.to.records.All() {
		if h, ok := held[e.Key]; !ok || h != wire.HashPrefix(e.Hash) {
			d.upserts = append(d.upserts, e.Value)
		}
	}
	for key := range held {
		if _, ok := d.to.records.Get(key); !ok {
			d.deletes = append(d.deletes, key)
		}
	}
}

// ack notes what the proxy says about the delta that was sent last.
func (m *machine) ack(position configsync.Position, hash configsync.Hash, rejected []configsync.Rejection, total int) error {
	holds := m.position != configsync.Position{}
	if holds && (m.flight == nil || m.flight.position != position) && m.position == position && m.hash == hash {
		// What it holds already, with other rejections: something that was held
		// back came into service later.
		m.rejected, m.rejectedTotal = rejected, max(total, len(rejected))
		return nil
	}
	if m.flight == nil || m.flight.position != position || m.flight.records.Hash() != hash {
		return fmt.Errorf("ack of snapshot %s %s, which was not sent", position, hash)
	}
	m.base, m.held = m.flight.records, nil
	m.position, m.hash = position, hash
	m.rejected, m.rejectedTotal = rejected, max(total, len(rejected))
	m.behindSince, m.nextSince = m.nextSince, time.Time{}
	m.flight = nil
	return nil
}

// programmed reports whether the proxy holds the newest published snapshot.
func (m *machine) programmed() bool { return m.want != nil && m.behindSince.IsZero() }
