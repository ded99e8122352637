// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

// replica is what the proxy holds. It decides what a delta makes of it, without
// I/O and without a clock. It is used by one goroutine at a time.
type replica struct {
	position configsync.Position
	items    items
	applied  bool // something was handed on before
	// broken are the keys of the items that could not be decoded.
	broken map[configsync.Hash]*item
}

func newReplica() *replica { return &replica{broken: make(map[configsync.Hash]*item)} }

// backwardError refuses a delta to an earlier position.
type backwardError struct{ ours, theirs configsync.Position }

func (e *backwardError) Error() string {
	return fmt.Sprintf("the manager sent snapshot %s, this proxy already holds %s", e.theirs, e.ours)
}

// mismatchError says that what came of a delta is not what the manager meant.
type mismatchError struct{ got, want configsync.Hash }

func (e *mismatchError) Error() string {
	return fmt.Sprintf("the delta leads to snapshot %s, the manager meant %s; starting over", e.got, e.want)
}

// apply takes in the messages of one delta as a whole, or not at all. The same
// position may come again: after a reconnect, or with what a manager leaves out
// for this version of the proxy. With anew the delta is the whole snapshot.
func (r *replica) apply(parts []*wire.Delta, anew bool) (Update, error) {
	last := parts[len(parts)-1]
	position := wire.DecodePosition(last.GetPosition())
	if position.Compare(r.position) < 0 {
		return Update{}, &backwardError{r.position, position}
	}
	want, err := wire.DecodeHash(last.GetSnapshotHash())
	if err != nil {
		return Update{}, err
	}
	base := r.items
	if anew {
		base = items{}
	}
	edit := base.Edit()
	for _, part := range parts {
		if err := r.merge(edit, part); err != nil {
			return Update{}, err
		}
	}
	next := edit.Done()
	if got := next.Hash(); got != want {
		return Update{}, &mismatchError{got, want}
	}
	return r.moveTo(position, next), nil
}

func (r *replica) merge(edit *content.Edit[*item], part *wire.Delta) error {
	for _, m := range part.GetUpserts() {
		rec, err := wire.DecodeRecord(m)
		if err != nil {
			return err
		}
		edit.Put(decode(rec).entry())
	}
	deletes, err := wire.DecodeDeletes(part.GetDeletes())
	if err != nil {
		return err
	}
	for _, key := range deletes {
		edit.Delete(key)
	}
	return nil
}

// load takes in a snapshot from disk.
func (r *replica) load(s shard.Snapshot) Update {
	edit := r.items.Edit()
	for e := range s.Records.All() {
		edit.Put(decode(e.Value).entry())
	}
	return r.moveTo(s.Position, edit.Done())
}

func (r *replica) moveTo(position configsync.Position, next items) Update {
	u := Update{Position: position, First: !r.applied}
	content.Diff(r.items, next, func(e content.Entry[*item]) {
		if e.Value.reason == "" {
			delete(r.broken, e.Key)
		} else {
			r.broken[e.Key] = e.Value
		}
		u.note(e.Value.record)
	}, func(e content.Entry[*item]) {
		delete(r.broken, e.Key)
		u.note(e.Value.record)
	})
	r.position, r.items, r.applied = position, next, true
	u.finish(next)
	return u
}

// rejections lists what could not be decoded.
func (r *replica) rejections() []configsync.Rejection {
	var out []configsync.Rejection
	for _, it := range r.broken {
		out = append(out, configsync.Rejection{Key: it.record.Key, Name: it.record.Type, Reason: it.reason})
	}
	return out
}

// snapshot returns what is held, for the copy on disk.
func snapshotOf(u Update) shard.Snapshot {
	edit := configsync.Records{}.Edit()
	for e := range u.items.All() {
		edit.Put(e.Value.record.Entry())
	}
	return shard.Snapshot{Position: u.Position, Records: edit.Done()}
}

// changes reports whether an update changes anything for who applies it.
func (u Update) changes() bool {
	return u.First || u.DialChanged || len(u.Changed) > 0 || len(u.ChangedScope) > 0
}
