// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Action is what has to happen to one object.
type Action string

// The actions Decide chooses from.
const (
	ActionNone   Action = "None"   // live already is what was rendered
	ActionCreate Action = "Create" // there is no live object
	ActionApply  Action = "Apply"  // a leaf differs, or we own a field that is no longer rendered
	ActionVerify Action = "Verify" // an atomic value holds more than rendered: only the API server can tell defaults from leftovers
	ActionRefuse Action = "Refuse" // the live object is somebody else's
	ActionWait   Action = "Wait"   // the live object is being deleted
)

// Change is one field that live and rendered disagree on.
type Change struct {
	// Path in the notation of managedFields, for example .spec.template.spec.containers[name="proxy"].image.
	Path string
	// Holder is the other field manager that set or removed the value, when we do not own the path; empty when we do.
	Holder string

	path fieldpath.Path
}

// Decision is the outcome of Decide.
type Decision struct {
	Action  Action
	Changed []Change // rendered leaves whose live value differs, in path order
	Removed []string // paths that we own and no longer render
	Problem string   // why the object is refused: names object, reason and fix
}

// Want says what to render and under which terms.
type Want struct {
	Rendered *unstructured.Unstructured
	// Gateway is the UID of the gateway the object belongs to.
	Gateway types.UID
	// Shared marks an object that others own too (a namespace): only our fields are kept right, it is never refused.
	Shared bool
}

// Decide compares live (nil when absent) with what is wanted. It is pure: same input, same answer.
//
// Errors: managedFields that cannot be parsed.
func Decide(live *unstructured.Unstructured, want Want) (Decision, error) {
	if live == nil {
		return Decision{Action: ActionCreate}, nil
	}
	own, err := readOwnership(live)
	if err != nil {
		return Decision{}, fmt.Errorf("%s: %w", describe(live), err)
	}
	if !want.Shared {
		if !BelongsTo(live, want.Gateway) {
			return Decision{Action: ActionRefuse, Problem: foreign(live)}, nil
		}
	}
	if live.GetDeletionTimestamp() != nil {
		return Decision{Action: ActionWait}, nil
	}
	return compare(live, want.Rendered, own), nil
}

func compare(live, rendered *unstructured.Unstructured, own ownership) Decision {
	c := comparison{}
	c.object(live.Object, rendered.Object, own.all)
	d := Decision{Action: ActionNone}
	for _, path := range c.differ {
		change := Change{Path: path.String(), path: path}
		if !own.ours.Has(path) {
			change.Holder = own.holder(path)
		}
		d.Changed = append(d.Changed, change)
	}
	own.ours.Iterate(func(path fieldpath.Path) {
		if _, still := lookup(rendered.Object, path); !still {
			d.Removed = append(d.Removed, path.String())
		}
	})
	switch {
	case len(d.Changed) > 0 || len(d.Removed) > 0:
		d.Action = ActionApply
	case len(c.uncertain) > 0:
		d.Action = ActionVerify
	}
	return d
}

func foreign(live *unstructured.Unstructured) string {
	if uid := live.GetLabels()[UIDLabel]; uid != "" && AppliedByUs(live.GetManagedFields()) {
		return fmt.Sprintf("%s belongs to the gateway with UID %s, not to this one; wait until it is gone, or delete it or rename this gateway",
			describe(live), uid)
	}
	return fmt.Sprintf("%s exists and was not created for this gateway; it is left as it is: delete or rename it, or rename the gateway",
		describe(live))
}

func describe(o *unstructured.Unstructured) string {
	if ns := o.GetNamespace(); ns != "" {
		return fmt.Sprintf("%s %s/%s", o.GetKind(), ns, o.GetName())
	}
	return fmt.Sprintf("%s %s", o.GetKind(), o.GetName())
}
