// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/apply"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

// Finalizer keeps a deleted gateway until what owner references cannot reach is gone: its IngressClass and the label on
// its namespace. It also keeps the policies of the pods in place while they drain.
const Finalizer = "gateway.konghq.com/cleanup"

// Reconciler brings the children of a KongIstioGateway to what its accepted spec says.
type Reconciler struct {
	// Client reads from the manager's cache and writes status and finalizers.
	Client client.Client
	// Engine writes children.
	Engine *apply.Engine
	// Recorder writes Events.
	Recorder events.EventRecorder
	// Kinds knows which of Istio's kinds the API server has.
	Kinds *IstioKinds
	// Routes, Fleet and Trust are the control plane.
	Routes Routes
	Fleet  Fleet
	Trust  Trust
	// Settings are the operator's own.
	Settings render.Settings
	// Clock times conditions and drains.
	Clock clock.PassiveClock

	seen sync.Map // UID → statusSeen
}

// Reconcile is one pass over one gateway. It is re-entrant: it decides from what it reads now, not from what it did.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if err := r.Kinds.Look(ctx); err != nil {
		return ctrl.Result{}, err
	}
	gw := &v1alpha1.KongIstioGateway{}
	if err := r.Client.Get(ctx, req.NamespacedName, gw); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.Routes.RemoveGateway(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if gw.DeletionTimestamp != nil {
		return r.reconcileDelete(ctx, gw)
	}
	// Objects read back have their defaults already; one stored by an older operator may lack newer ones.
	v1alpha1.SetDefaults(&gw.Spec)
	o, err := r.observe(ctx, gw)
	if err != nil {
		return ctrl.Result{}, err
	}
	p := makePlan(o, r.Settings)
	if o.strict, err = r.strictBackends(ctx, o, p); err != nil {
		return ctrl.Result{}, err
	}
	r.tellRoutes(gw, o, p)
	if p.held != "" && o.deployment != nil {
		// A starting manager: nothing can be said yet that is truer than what the status says.
		return ctrl.Result{}, nil
	}
	out, applyErr := r.execute(ctx, gw, o, p)
	statusErr := r.updateStatus(ctx, gw, o, p, out)
	again := apply.Retry(out.contested, r.Clock.Now())
	if len(out.refused) > 0 {
		again = refusedRetry
	}
	if o.lookAgain > 0 && (again == 0 || o.lookAgain < again) {
		again = o.lookAgain
	}
	return ctrl.Result{RequeueAfter: again}, errors.Join(applyErr, statusErr)
}

// refusedRetry is how often an object that is somebody else's is looked at again: the cache does not hold it, so no event
// tells when it goes.
const refusedRetry = 30 * time.Second

// tellRoutes hands the accepted gateway to the control plane, which compiles the routes of its class. A paused gateway
// is handed over as well: its routes go on changing.
func (r *Reconciler) tellRoutes(gw *v1alpha1.KongIstioGateway, o *observed, p plan) {
	key := client.ObjectKeyFromObject(gw)
	if p.spec == nil {
		r.Routes.RemoveGateway(key)
		return
	}
	r.Routes.SetGateway(Routing{
		Key: key, UID: gw.UID, IngressClassName: p.spec.IngressClassName, Mesh: p.resolution.Mode,
		UpstreamHost: p.spec.Mesh.UpstreamHost, Listeners: p.spec.Listeners, Addresses: addresses(o.service), ScopeFrozen: gw.Spec.Paused && managesScope(o, p),
	})
	if gw.Spec.Paused && managesScope(o, p) && o.routes.Synced {
		r.Routes.SetEgress(key, mesh.Covered(o.routes.Backends, ownSidecar(o), r.Settings.ClusterDomain))
	}
}

// reconcileDelete removes what the gateway made, pods first: their policies and their egress scope stay until they have
// drained, or until the time for that is over. Pause does not stop a deletion.
func (r *Reconciler) reconcileDelete(ctx context.Context, gw *v1alpha1.KongIstioGateway) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(gw, Finalizer) {
		return ctrl.Result{}, nil
	}
	v1alpha1.SetDefaults(&gw.Spec)
	draining, err := r.stopPods(ctx, gw)
	if err != nil {
		return ctrl.Result{}, err
	}
	if left := r.drainTimeLeft(gw); draining && left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	if err := r.cleanUp(ctx, gw); err != nil {
		return ctrl.Result{}, err
	}
	r.Routes.RemoveGateway(client.ObjectKeyFromObject(gw))
	r.Engine.Forget(gw.UID)
	r.seen.Delete(gw.UID)
	before := gw.DeepCopy()
	controllerutil.RemoveFinalizer(gw, Finalizer)
	err = r.Client.Patch(ctx, gw, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) {
		return ctrl.Result{}, nil // a newer version is on its way, and comes here again
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// drainMargin is how long past the pods' own drain time a deletion waits for them, for slow kubelets.
const drainMargin = 30 * time.Second

func (r *Reconciler) drainTimeLeft(gw *v1alpha1.KongIstioGateway) time.Duration {
	drain := time.Duration(*gw.Spec.Drain.AcceptSeconds+gw.Spec.Drain.TimeoutSeconds) * time.Second
	return gw.DeletionTimestamp.Add(drain + drainMargin).Sub(r.Clock.Now())
}

// ensureFinalizer is called before the first write that an owner reference does not reach.
func (r *Reconciler) ensureFinalizer(ctx context.Context, gw *v1alpha1.KongIstioGateway) error {
	if controllerutil.ContainsFinalizer(gw, Finalizer) {
		return nil
	}
	live := gw.DeepCopy()
	before := live.DeepCopy()
	controllerutil.AddFinalizer(live, Finalizer)
	if err := r.Client.Patch(ctx, live, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	gw.ResourceVersion, gw.Finalizers = live.ResourceVersion, live.Finalizers
	return nil
}

func (r *Reconciler) event(gw *v1alpha1.KongIstioGateway, kind, reason, action, note string, args ...any) {
	r.Recorder.Eventf(gw, nil, kind, reason, action, note, args...)
}

func (r *Reconciler) normal(gw *v1alpha1.KongIstioGateway, reason, action, note string, args ...any) {
	r.event(gw, corev1.EventTypeNormal, reason, action, note, args...)
}

// statusSeen is the status that was written last and the version that it made.
type statusSeen struct {
	version string
	status  v1alpha1.KongIstioGatewayStatus
}

// currentStatus is the newest status that is known: our own last write as long as the cache shows an older version.
func (r *Reconciler) currentStatus(gw *v1alpha1.KongIstioGateway) *v1alpha1.KongIstioGatewayStatus {
	if v, ok := r.seen.Load(gw.UID); ok {
		if s, ok := v.(statusSeen); ok && apply.Older(gw.ResourceVersion, s.version) {
			return s.status.DeepCopy()
		}
	}
	return gw.Status.DeepCopy()
}
