// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Engine applies rendered objects. Safe for concurrent use.
type Engine struct {
	// Cached reads children from the manager's cache; it may hold only objects that carry our labels.
	Cached client.Reader
	// Live reads from the API server: asked only when the cache has nothing, to see objects that are not ours.
	Live client.Reader
	// Scheme holds the kinds that the cache keeps as typed objects; others are read as unstructured ones.
	Scheme *runtime.Scheme
	// Writer applies and deletes.
	Writer client.Client
	// Clock times the contest of fields.
	Clock clock.PassiveClock

	memory memory
}

// Operation is what Apply did.
type Operation string

// The operations Apply reports.
const (
	Unchanged Operation = "Unchanged"
	Created   Operation = "Created"
	Patched   Operation = "Patched"
	Refused   Operation = "Refused"
	Waiting   Operation = "Waiting" // for a deletion, or for our own write to come back through the cache
)

// Result is what happened to one object.
type Result struct {
	Operation Operation
	// Live is the object after the operation; nil when it was refused.
	Live *unstructured.Unstructured
	// Fields are the paths that were set, changed or removed; empty for a create.
	Fields []string
	// Problem says why the object was refused.
	Problem string
	// Contested are the fields left to another manager for now.
	Contested []Contested
}

// Apply makes the live object what want says, with as few writes as possible: none when it already is.
//
// Errors are those of the API server, without random parts; a missing kind (CRD gone) satisfies meta.IsNoMatchError.
func (e *Engine) Apply(ctx context.Context, want Want) (Result, error) {
	live, err := e.read(ctx, want)
	if err != nil {
		return Result{}, err
	}
	if live != nil && e.memory.stale(want.Gateway, live) {
		return Result{Operation: Waiting, Live: live}, nil
	}
	d, err := Decide(live, want)
	if err != nil {
		return Result{}, err
	}
	var contested []Contested
	if live != nil && (d.Action == ActionApply || d.Action == ActionNone || d.Action == ActionVerify) {
		if want, contested = e.yield(live, want, d); len(contested) > 0 {
			if d, err = Decide(live, want); err != nil {
				return Result{}, err
			}
		}
	}
	r, err := e.execute(ctx, live, want, d)
	r.Contested = contested
	return r, err
}

// Forget drops what is remembered about the objects of a gateway that is gone.
func (e *Engine) Forget(gateway types.UID) { e.memory.forget(gateway) }

func (e *Engine) read(ctx context.Context, want Want) (*unstructured.Unstructured, error) {
	key := client.ObjectKeyFromObject(want.Rendered)
	live, err := e.get(ctx, e.Cached, want.Rendered, key)
	if err != nil || live != nil {
		return live, err
	}
	return e.get(ctx, e.Live, want.Rendered, key)
}

// get reads an object, nil when absent. Reading a typed object shares the informer that watches it.
func (e *Engine) get(ctx context.Context, r client.Reader, like *unstructured.Unstructured, key client.ObjectKey) (*unstructured.Unstructured, error) {
	gvk := like.GroupVersionKind()
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(gvk)
	var into client.Object = live
	if typed, err := e.Scheme.New(gvk); err == nil {
		if o, ok := typed.(client.Object); ok {
			into = o
		}
	}
	switch err := r.Get(ctx, key, into); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", describe(like), err)
	case into == client.Object(live):
		return live, nil
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(into)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", describe(like), err)
	}
	live.Object = m
	live.SetGroupVersionKind(gvk)
	return live, nil
}

// yield takes the fields that another manager keeps taking back out of the rendering.
func (e *Engine) yield(live *unstructured.Unstructured, want Want, d Decision) (Want, []Contested) {
	holds := e.memory.contest(want.Gateway, live, want.Rendered, d.Changed, e.Clock.Now())
	if len(holds) == 0 {
		return want, nil
	}
	object := any(want.Rendered.Object)
	contested := make([]Contested, 0, len(holds))
	for _, h := range holds {
		object = without(object, h.path)
		contested = append(contested, Contested{Object: describe(live), Path: h.path.String(), Manager: h.manager, Until: h.until})
	}
	if m, ok := object.(map[string]any); ok {
		want.Rendered = &unstructured.Unstructured{Object: m}
	}
	return want, contested
}

func (e *Engine) execute(ctx context.Context, live *unstructured.Unstructured, want Want, d Decision) (Result, error) {
	switch d.Action {
	case ActionCreate:
		after, err := e.write(ctx, nil, want, nil)
		return Result{Operation: Created, Live: after}, err
	case ActionApply:
		after, err := e.write(ctx, live, want, d.Changed)
		return Result{Operation: Patched, Live: after, Fields: fields(d)}, err
	case ActionVerify:
		return e.verify(ctx, live, want)
	case ActionRefuse:
		return Result{Operation: Refused, Problem: d.Problem}, nil
	case ActionWait:
		return Result{Operation: Waiting, Live: live}, nil
	default:
		return Result{Operation: Unchanged, Live: live}, nil
	}
}

// verify asks the API server, without writing, whether applying would change anything.
func (e *Engine) verify(ctx context.Context, live *unstructured.Unstructured, want Want) (Result, error) {
	would, err := e.send(ctx, live, want, client.DryRunAll)
	if err != nil {
		return Result{}, err
	}
	if sameContent(live, would) {
		return Result{Operation: Unchanged, Live: live}, nil
	}
	after, err := e.write(ctx, live, want, nil)
	return Result{Operation: Patched, Live: after, Fields: []string{"leftovers of an earlier rendering"}}, err
}

func (e *Engine) write(ctx context.Context, live *unstructured.Unstructured, want Want, changed []Change) (*unstructured.Unstructured, error) {
	after, err := e.send(ctx, live, want)
	if err != nil {
		return nil, err
	}
	e.memory.wrote(want.Gateway, after, want.Rendered, changed, e.Clock.Now())
	return after, nil
}

func (e *Engine) send(ctx context.Context, live *unstructured.Unstructured, want Want, more ...client.ApplyOption) (*unstructured.Unstructured, error) {
	body := want.Rendered.DeepCopy()
	if live != nil {
		// A UID is a precondition: an object that was deleted and made anew by somebody else is not written.
		body.SetUID(live.GetUID())
	}
	opts := append([]client.ApplyOption{client.FieldOwner(FieldManager), client.ForceOwnership}, more...)
	if err := e.Writer.Apply(ctx, client.ApplyConfigurationFromUnstructured(body), opts...); err != nil {
		return nil, fmt.Errorf("applying %s: %w", describe(want.Rendered), err)
	}
	return body, nil
}

// sameContent compares two versions of one object without what every write may touch.
func sameContent(a, b *unstructured.Unstructured) bool {
	strip := func(o *unstructured.Unstructured) map[string]any {
		c := o.DeepCopy()
		unstructured.RemoveNestedField(c.Object, "metadata", "managedFields")
		unstructured.RemoveNestedField(c.Object, "metadata", "resourceVersion")
		unstructured.RemoveNestedField(c.Object, "metadata", "generation")
		unstructured.RemoveNestedField(c.Object, "status")
		return c.Object
	}
	return within(nil, strip(a), strip(b)) == same
}

func fields(d Decision) []string {
	out := make([]string, 0, len(d.Changed)+len(d.Removed))
	for _, c := range d.Changed {
		out = append(out, c.Path)
	}
	return append(out, d.Removed...)
}

// Retry returns how long to wait until the first contested field may be taken back, 0 when none is contested.
func Retry(contested []Contested, now time.Time) time.Duration {
	var wait time.Duration
	for _, c := range contested {
		if d := max(c.Until.Sub(now), time.Second); wait == 0 || d < wait {
			wait = d
		}
	}
	return wait
}

// Delete deletes one child if it belongs to the gateway. It reports whether a delete was sent.
func (e *Engine) Delete(ctx context.Context, gateway types.UID, obj client.Object) (bool, error) {
	if !BelongsTo(obj, gateway) || obj.GetLabels()[UIDLabel] != string(gateway) || obj.GetDeletionTimestamp() != nil {
		return false, nil
	}
	uid := obj.GetUID()
	err := e.Writer.Delete(ctx, obj, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}
	return err == nil, err
}

// Release gives up our fields on a shared object: those that nobody else owns disappear, the object stays.
func (e *Engine) Release(ctx context.Context, obj *unstructured.Unstructured) error {
	empty := &unstructured.Unstructured{}
	empty.SetGroupVersionKind(obj.GroupVersionKind())
	empty.SetNamespace(obj.GetNamespace())
	empty.SetName(obj.GetName())
	empty.SetUID(obj.GetUID())
	err := e.Writer.Apply(ctx, client.ApplyConfigurationFromUnstructured(empty), client.FieldOwner(FieldManager), client.ForceOwnership)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// IsMissingKind reports whether err says that the API server does not serve the kind (its CRD is not installed).
func IsMissingKind(err error) bool {
	var noMatch *meta.NoKindMatchError
	return errors.As(err, &noMatch) || meta.IsNoMatchError(err)
}
