// SPDX-License-Identifier: Apache-2.0

package server

import (
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/content"
)

// view is a gateway's snapshot as all proxies with one announcement are to hold
// it. It follows the snapshot by what changed, so its upkeep does not grow with
// the snapshot either.
type view struct {
	filter    *filter
	identity  bool
	source    configsync.Records // what records was made of
	records   configsync.Records
	omissions map[configsync.Hash][]configsync.Omission // by key digest
	users     int
}

func newView(ours, theirs []configsync.Schema) *view {
	f := newFilter(ours, theirs)
	return &view{filter: f, identity: f.passesAll(), omissions: make(map[configsync.Hash][]configsync.Omission)}
}

// advance brings the view to another snapshot.
func (v *view) advance(to configsync.Records) {
	if v.identity {
		v.source, v.records = to, to
		return
	}
	edit := v.records.Edit()
	content.Diff(v.source, to, func(e content.Entry[*configsync.Record]) {
		r, omitted := v.filter.apply(e.Value)
		if len(omitted) == 0 {
			delete(v.omissions, e.Key)
		} else {
			v.omissions[e.Key] = omitted
		}
		if r == nil {
			edit.Delete(e.Key)
		} else {
			edit.Put(r.Entry())
		}
	}, func(e content.Entry[*configsync.Record]) {
		delete(v.omissions, e.Key)
		edit.Delete(e.Key)
	})
	v.source, v.records = to, edit.Done()
}
