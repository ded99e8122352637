// SPDX-License-Identifier: Apache-2.0

package proxycache

import (
	"container/list"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// entry is a stored answer. It is immutable once stored.
type entry struct {
	status  int
	header  []plugin.Field
	body    []byte
	stored  time.Time
	ttl     time.Duration // for which it is fresh
	expires time.Time     // when it is forgotten
}

func (e *entry) size() int64 {
	n := len(e.body) + 256 // what the store itself needs
	for _, f := range e.header {
		n += len(f.Name) + len(f.Value) + 32
	}
	return int64(n)
}

// store holds entries up to a number of bytes; those that were not used for
// longest make room. It is safe for concurrent use.
type store struct {
	shards [16]shard
}

type shard struct {
	mu       sync.Mutex
	capacity int64
	used     int64
	entries  map[key]*list.Element
	order    list.List // of stored, the last used in front
}

type stored struct {
	key   key
	entry *entry
}

func newStore(capacity int64) *store {
	s := &store{}
	for i := range s.shards {
		s.shards[i].capacity = capacity / int64(len(s.shards))
		s.shards[i].entries = map[key]*list.Element{}
	}
	return s
}

func (s *store) shard(k key) *shard { return &s.shards[int(k[0])%len(s.shards)] }

// get returns an entry that is not forgotten yet, nil without one.
func (s *store) get(k key, now time.Time) *entry {
	d := s.shard(k)
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.entries[k]
	if !ok {
		return nil
	}
	e := at.Value.(stored).entry
	if !now.Before(e.expires) {
		d.remove(at)
		return nil
	}
	d.order.MoveToFront(at)
	return e
}

func (s *store) put(k key, e *entry) {
	d := s.shard(k)
	size := e.size()
	if size > d.capacity {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.entries[k]; ok {
		d.remove(old)
	}
	for d.used+size > d.capacity {
		d.remove(d.order.Back())
	}
	d.entries[k] = d.order.PushFront(stored{k, e})
	d.used += size
}

func (d *shard) remove(at *list.Element) {
	s := d.order.Remove(at).(stored)
	delete(d.entries, s.key)
	d.used -= s.entry.size()
}
