// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ticketPeriods is how often the ticket key changes within the lifetime of
	// a ticket. So many old keys are accepted beside the one in use.
	ticketPeriods = 3
	// MaxTicketLifetime is the longest that crypto/tls accepts a ticket for
	// (RFC 8446 §4.6.1).
	MaxTicketLifetime = 7 * 24 * time.Hour
	ticketKeyName     = 8  // bytes
	ticketKeyLength   = 16 // bytes: AES-128, as nginx does by default
)

// Tickets seals TLS sessions into the tickets that clients resume them with.
// Its keys change with time and live in memory only; one that is shared by all
// listeners makes tickets good for all of them. It is safe for concurrent use
// and takes no lock but when the key changes.
//
// A ticket is bound to the server name and to whether a client certificate was
// asked for: a session that began under other conditions is not resumed.
type Tickets struct {
	lifetime time.Duration
	now      func() time.Time
	keys     atomic.Pointer[[]*ticketKey] // newest first
	rotating sync.Mutex
}

type ticketKey struct {
	name [ticketKeyName]byte
	aead cipher.AEAD // puts a random nonce before what it seals
	from time.Time
}

// NewTickets returns tickets that are good for a lifetime, Kong's
// ssl_session_timeout, of at most MaxTicketLifetime; now is the clock.
func NewTickets(lifetime time.Duration, now func() time.Time) (*Tickets, error) {
	t := &Tickets{lifetime: min(lifetime, MaxTicketLifetime), now: now}
	first, err := newTicketKey(now())
	if err != nil {
		return nil, err
	}
	t.keys.Store(&[]*ticketKey{first})
	return t, nil
}

func newTicketKey(from time.Time) (*ticketKey, error) {
	k := &ticketKey{from: from}
	var secret [ticketKeyLength]byte
	_, _ = rand.Read(k.name[:]) // it never fails
	_, _ = rand.Read(secret[:])
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		return nil, fmt.Errorf("session tickets: %w", err)
	}
	if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("session tickets: %w", err)
	}
	return k, nil
}

// Use makes a server's sessions resumable with these tickets. asked says that
// the configuration asks for a client certificate.
func (t *Tickets) Use(c *tls.Config, asked bool) {
	c.Time = t.now
	c.WrapSession = func(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		return t.seal(cs.ServerName, asked, session)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		return t.open(cs.ServerName, asked, ticket), nil
	}
}

func (t *Tickets) seal(name string, asked bool, session *tls.SessionState) ([]byte, error) {
	state, err := session.Bytes()
	if err != nil {
		return nil, fmt.Errorf("session tickets: %w", err)
	}
	key := t.current()
	out := make([]byte, 0, ticketKeyName+key.aead.Overhead()+len(state))
	return key.aead.Seal(append(out, key.name[:]...), nil, state, bound(name, asked)), nil
}

// open returns nil for a ticket that is not, or no longer, good.
func (t *Tickets) open(name string, asked bool, ticket []byte) *tls.SessionState {
	if len(ticket) < ticketKeyName {
		return nil
	}
	t.current()
	for _, key := range *t.keys.Load() {
		if string(key.name[:]) != string(ticket[:ticketKeyName]) {
			continue
		}
		state, err := key.aead.Open(nil, nil, ticket[ticketKeyName:], bound(name, asked))
		if err != nil || t.expired(state) {
			return nil
		}
		session, err := tls.ParseSessionState(state)
		if err != nil {
			return nil
		}
		return session
	}
	return nil
}

// createdAt is where a session's encoding holds the time at which its secret
// was made, in seconds. Other than the time of sealing it does not move when a
// TLS 1.2 session is sealed again. TestTicketsOfTLS12Expire holds it.
const createdAt = 5

func (t *Tickets) expired(state []byte) bool {
	if len(state) < createdAt+8 {
		return true
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(state[createdAt:])), 0)
	return t.now().Sub(made) >= t.lifetime
}

// bound is what a ticket is bound to.
func bound(name string, asked bool) []byte {
	out := make([]byte, 1, 1+len(name))
	if asked {
		out[0] = 1
	}
	return append(out, canonical(name)...)
}

// current returns the key to seal with, a new one when its time is over.
func (t *Tickets) current() *ticketKey {
	keys, now := *t.keys.Load(), t.now()
	if now.Sub(keys[0].from) < t.lifetime/ticketPeriods {
		return keys[0]
	}
	t.rotating.Lock()
	defer t.rotating.Unlock()
	keys = *t.keys.Load()
	if now.Sub(keys[0].from) < t.lifetime/ticketPeriods {
		return keys[0]
	}
	fresh, err := newTicketKey(now)
	if err != nil {
		return keys[0] // cannot be: the length of the secret is right
	}
	next := []*ticketKey{fresh}
	for i, k := range keys {
		// A key sealed until its successor began.
		until := now
		if i > 0 {
			until = keys[i-1].from
		}
		if now.Sub(until) < t.lifetime && i < ticketPeriods {
			next = append(next, k)
		}
	}
	t.keys.Store(&next)
	return fresh
}
