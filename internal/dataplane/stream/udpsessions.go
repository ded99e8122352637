// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"container/list"
	"net/netip"
	"sync"
)

// udpKey tells UDP sessions apart: the client's address and ours.
type udpKey struct{ client, local netip.AddrPort }

// udpSessions holds the sessions of one socket. When there are too many, the
// oldest of those that were never answered makes room: a client's address may
// be made up, and a flood of such then only hurts itself. It is safe for
// concurrent use.
type udpSessions struct {
	limit int

	mu         sync.Mutex
	byKey      map[udpKey]*udpSession
	all        map[*udpSession]*list.Element // the place in unanswered, nil if none
	unanswered list.List                     // of *udpSession, the oldest first
	emptied    *sync.Cond
	closed     bool
}

// find returns the session that takes a key's datagrams, nil if there is none.
func (u *udpSessions) find(key udpKey) *udpSession {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byKey[key]
}

// add registers a session. The caller ends oldest, if it is not nil.
func (u *udpSessions) add(s *udpSession) (oldest *udpSession, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, false
	}
	if len(u.all) >= u.limit {
		front := u.unanswered.Front()
		if front == nil {
			return nil, false
		}
		oldest = front.Value.(*udpSession)
		u.leave(oldest)
	}
	if u.all == nil {
		u.byKey, u.all = map[udpKey]*udpSession{}, map[*udpSession]*list.Element{}
	}
	u.byKey[s.key] = s
	u.all[s] = u.unanswered.PushBack(s)
	return oldest, true
}

// answered notes that the session got an answer: its client is real.
func (u *udpSessions) answered(s *udpSession) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at := u.all[s]; at != nil {
		u.unanswered.Remove(at)
		u.all[s] = nil
	}
}

// detach makes further datagrams of the client begin a new session.
func (u *udpSessions) detach(s *udpSession) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byKey[s.key] == s {
		delete(u.byKey, s.key)
	}
}

// remove forgets a session.
func (u *udpSessions) remove(s *udpSession) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.leave(s)
}

// leave forgets a session, if it is known. The caller holds mu.
func (u *udpSessions) leave(s *udpSession) {
	if u.byKey[s.key] == s {
		delete(u.byKey, s.key)
	}
	if at := u.all[s]; at != nil {
		u.unanswered.Remove(at)
	}
	delete(u.all, s)
	if len(u.all) == 0 && u.emptied != nil {
		u.emptied.Broadcast()
	}
}

// wait returns when there are no sessions.
func (u *udpSessions) wait() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.emptied == nil {
		u.emptied = sync.NewCond(&u.mu)
	}
	for len(u.all) > 0 {
		u.emptied.Wait()
	}
}

// close refuses new sessions and returns those that there are.
func (u *udpSessions) close() []*udpSession {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	return u.list()
}

// list returns all sessions.
func (u *udpSessions) list() []*udpSession {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]*udpSession, 0, len(u.all))
	for s := range u.all {
		out = append(out, s)
	}
	return out
}
