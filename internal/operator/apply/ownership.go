// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// ownership is what the managedFields of one live object say.
type ownership struct {
	ours    *fieldpath.Set // what our field manager applied
	all     *fieldpath.Set // what anybody owns: tells lists by key from atomic ones
	entries []entry        // the others, in the order of the object
	applied bool           // we have an apply entry at all
}

type entry struct {
	manager string
	time    *metav1.Time
	fields  *fieldpath.Set
}

// readOwnership parses the managedFields of a live object. Entries of subresources are left out: we do not write them.
func readOwnership(live *unstructured.Unstructured) (ownership, error) {
	o := ownership{ours: fieldpath.NewSet(), all: fieldpath.NewSet()}
	for _, mf := range live.GetManagedFields() {
		if mf.FieldsV1 == nil || mf.Subresource != "" {
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(bytes.NewReader(mf.FieldsV1.GetRawBytes())); err != nil {
			return ownership{}, fmt.Errorf("managedFields of manager %q: %w", mf.Manager, err)
		}
		o.all = o.all.Union(set)
		if mf.Manager == FieldManager && mf.Operation == metav1.ManagedFieldsOperationApply {
			o.applied = true
			o.ours = o.ours.Union(set)
			continue
		}
		o.entries = append(o.entries, entry{manager: mf.Manager, time: mf.Time, fields: set})
	}
	return o, nil
}

// holder names the other manager that owns path, or, when nobody does (the field was removed), the one that wrote last.
func (o ownership) holder(path fieldpath.Path) string {
	for _, e := range o.entries {
		if e.fields.Has(path) {
			return e.manager
		}
	}
	var last entry
	for _, e := range o.entries {
		if last.time == nil || (e.time != nil && last.time.Before(e.time)) {
			last = e
		}
	}
	return last.manager
}

// AppliedByUs reports whether our field manager holds an apply entry on the object, that is, whether we ever wrote it.
func AppliedByUs(managed []metav1.ManagedFieldsEntry) bool {
	for _, mf := range managed {
		if mf.Manager == FieldManager && mf.Operation == metav1.ManagedFieldsOperationApply && mf.Subresource == "" {
			return true
		}
	}
	return false
}

// BelongsTo reports whether a live object is a child that we created for the gateway with this UID: we applied it, and
// its inventory label or its owner reference names the UID. A copied label alone proves nothing, and a label that
// somebody removed does not disown an object that our owner reference still names.
func BelongsTo(live metav1.Object, gateway types.UID) bool {
	if !AppliedByUs(live.GetManagedFields()) {
		return false
	}
	if live.GetLabels()[UIDLabel] == string(gateway) {
		return true
	}
	for _, ref := range live.GetOwnerReferences() {
		if ref.UID == gateway {
			return true
		}
	}
	return false
}
