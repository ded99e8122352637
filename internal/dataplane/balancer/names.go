// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Prepare makes sure that the names among the targets are resolved. It blocks
// only when nothing is known yet; old addresses are used while new ones are
// asked for. It fails when resolving left no peer at all.
func (b *Balancer) Prepare(ctx context.Context) error {
	at := b.expires.Load()
	if at == 0 {
		return nil
	}
	if b.store.now().UnixNano() < at {
		return b.resolved()
	}
	if at > 1 && len(b.set.Load().peers) > 0 {
		if b.refresh.TryLock() {
			go func() {
				defer b.refresh.Unlock()
				b.resolveAll(context.WithoutCancel(ctx))
			}()
		}
		return nil
	}
	b.refresh.Lock()
	defer b.refresh.Unlock()
	if b.expires.Load() == at {
		b.resolveAll(ctx)
	}
	if len(b.set.Load().peers) == 0 {
		return b.firstErr
	}
	return nil
}

// resolved returns why the latest resolution left no peer, nil if it left one.
func (b *Balancer) resolved() error {
	if len(b.set.Load().peers) > 0 {
		return nil
	}
	b.refresh.Lock()
	defer b.refresh.Unlock()
	return b.firstErr
}

// resolveAll asks for all names and installs the peers. The addresses of a name
// that cannot be resolved now stay, those of one that is gone do not: they may
// be somebody else's soon. It holds b.refresh.
func (b *Balancer) resolveAll(ctx context.Context) {
	if b.closed {
		return
	}
	now := b.store.now()
	next := now.Add(time.Hour)
	var peers []*Peer
	b.firstErr = nil
	for _, t := range b.targets {
		if addr, err := netip.ParseAddr(t.host); err == nil {
			peers = append(peers, b.peer(t, Address{Addr: addr}))
			continue
		}
		addrs, expires, err := b.resolve(ctx, t.host)
		if err != nil {
			if b.firstErr == nil {
				b.firstErr = err
			}
			expires = now.Add(retryFailedNames)
			if !notFound(err) {
				peers = append(peers, b.current(t)...)
			}
		}
		if expires.Before(next) {
			next = expires
		}
		for _, a := range addrs {
			peers = append(peers, b.peer(t, a))
		}
	}
	b.install(peers)
	b.expires.Store(next.UnixNano())
}

func notFound(err error) bool {
	var e interface{ NotFound() bool }
	return errors.As(err, &e) && e.NotFound()
}

func (b *Balancer) current(t target) []*Peer {
	var out []*Peer
	for _, p := range b.set.Load().peers {
		if p.Target == t.String() {
			out = append(out, p)
		}
	}
	return out
}
