// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

// hub holds one gateway's newest snapshot and its connected proxies.
type hub struct {
	mu       sync.Mutex
	ours     []configsync.Schema
	current  *configsync.Snapshot
	views    map[configsync.Hash]*view // by fingerprint; only those in use
	sessions map[string]*session       // by pod uid
	changed  func()                    // facts may have changed; called with mu held, must not block
}

func newHub(ours []configsync.Schema, changed func()) *hub {
	return &hub{
		ours: ours, changed: changed,
		views: make(map[configsync.Hash]*view), sessions: make(map[string]*session),
	}
}

// session is one connected proxy. Its fields are guarded by the hub, but for
// the channels.
type session struct {
	identity  Identity
	hello     *wire.Hello
	connected time.Time
	machine   *machine
	view      *view
	viewKey   configsync.Hash
	report    configsync.Report
	overdue   *time.Timer // runs while the proxy is behind

	wake  chan struct{} // something may be there to send
	ended chan struct{} // closed when the stream is to end
	why   error         // set before ended is closed
}

func (s *session) facts() Proxy {
	return Proxy{
		Identity: s.identity, Node: s.hello.GetNodeName(), Version: s.hello.GetVersion(), Connected: s.connected,
		Position: s.machine.position, Programmed: s.machine.programmed(), BehindSince: s.machine.behindSince,
		Rejected: s.machine.rejectedTotal, Report: s.report, LastError: s.hello.GetLastError(),
	}
}

func (s *session) end(why error) {
	if s.why == nil {
		s.why = why
		close(s.ended)
	}
}

// publish makes a snapshot the newest one.
func (h *hub) publish(snap configsync.Snapshot, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != nil {
		switch c := snap.Position.Compare(h.current.Position); {
		case c < 0, c == 0 && snap.Records.Hash() != h.current.Records.Hash():
			return fmt.Errorf("snapshot %s does not follow %s", snap.Position, h.current.Position)
		case c == 0:
			return nil
		}
	}
	h.current = &snap
	for _, v := range h.views {
		v.advance(snap.Records)
	}
	for _, s := range h.sessions {
		h.offer(s, now)
	}
	h.changed()
	return nil
}

// offer tells a session about the newest snapshot.
func (h *hub) offer(s *session, now time.Time) {
	s.machine.publish(target{position: h.current.Position, records: s.view.records}, now)
	h.watch(s)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// watch keeps a timer on a proxy that is behind.
func (h *hub) watch(s *session) {
	if s.overdue != nil {
		s.overdue.Stop()
		s.overdue = nil
	}
	if since := s.machine.behindSince; !since.IsZero() {
		s.overdue = time.AfterFunc(time.Until(since.Add(BehindAfter)), func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.changed()
		})
	}
}

// join adds a proxy. An older stream of the same pod ends: the pod would not
// have opened another one if it still used it.
func (h *hub) join(id Identity, hello *wire.Hello, now time.Time) (*session, error) {
	held, err := wire.DecodeHeld(hello.GetHeld())
	if err != nil {
		return nil, err
	}
	hash, err := wire.DecodeHash(hello.GetSnapshotHash())
	if err != nil {
		return nil, err
	}
	schemas, err := wire.DecodeSchemas(hello.GetSchemas())
	if err != nil {
		return nil, err
	}
	// What was large in the message is not needed any more.
	hello.Held, hello.Schemas = nil, nil
	s := &session{
		identity: id, hello: hello, connected: now, viewKey: fingerprint(schemas),
		machine: newMachine(wire.DecodePosition(hello.GetPosition()), hash, held),
		wake:    make(chan struct{}, 1), ended: make(chan struct{}),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.sessions[id.PodUID]; old != nil {
		h.drop(old, errReplaced)
	}
	h.sessions[id.PodUID] = s
	s.view = h.views[s.viewKey]
	if s.view == nil {
		s.view = newView(h.ours, schemas)
		h.views[s.viewKey] = s.view
		if h.current != nil {
			s.view.advance(h.current.Records)
		}
	}
	s.view.users++
	if h.current != nil {
		h.offer(s, now)
	}
	h.changed()
	return s, nil
}

// leave removes a proxy whose stream has ended.
func (h *hub) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.identity.PodUID] == s {
		h.drop(s, errEnded)
		h.changed()
	}
}

func (h *hub) drop(s *session, why error) {
	delete(h.sessions, s.identity.PodUID)
	if s.view.users--; s.view.users == 0 {
		delete(h.views, s.viewKey)
	}
	if s.overdue != nil {
		s.overdue.Stop()
		s.overdue = nil
	}
	s.end(why)
}

// close ends every stream.
func (h *hub) close(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sessions {
		h.drop(s, why)
	}
	h.changed()
}

func (h *hub) next(s *session) (*plan, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return s.machine.next()
}

func (h *hub) ack(s *session, m *wire.Ack) error {
	hash, err := wire.DecodeHash(m.GetSnapshotHash())
	if err != nil {
		return err
	}
	rejected := wire.DecodeRejections(m.GetRejected())
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := s.machine.ack(wire.DecodePosition(m.GetPosition()), hash, rejected, int(m.GetRejectedTotal())); err != nil {
		return err
	}
	h.watch(s)
	h.changed()
	return nil
}

func (h *hub) setReport(s *session, m *wire.Report) error {
	r, err := wire.DecodeReport(m)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	news := !slices.Equal(s.report.ScopePending, r.ScopePending) || !slices.Equal(s.report.Errors, r.Errors)
	s.report = r
	if news { // rates alone are read when somebody asks
		h.changed()
	}
	return nil
}
