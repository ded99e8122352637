// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	ctrlhandler "sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
)

// FieldOwner is the field manager of what is written into the configuration.
const FieldOwner = "kong-istio-gateway-webhook"

// Registrar keeps the ValidatingWebhookConfiguration in order: the certificates
// by which the API server knows the webhook, and the conditions that spare it
// the objects of other classes. It runs on the leader.
type Registrar struct{ config Config }

// Setup registers the Registrar with a manager. changed tells that Config.Bundle
// returns something else.
func Setup(ctx context.Context, mgr ctrl.Manager, c Config, changed <-chan event.GenericEvent) error {
	if err := indexCredentials(ctx, c.Own); err != nil {
		return err
	}
	one := func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: admission.ConfigurationName}}}
	}
	return ctrl.NewControllerManagedBy(mgr).Named("admission-webhook").
		WatchesRawSource(source.Kind(c.Own, client.Object(&admissionv1.ValidatingWebhookConfiguration{}), ctrlhandler.EnqueueRequestsFromMapFunc(one))).
		WatchesRawSource(source.Kind(c.Objects, client.Object(&networkingv1.IngressClass{}), ctrlhandler.EnqueueRequestsFromMapFunc(one))).
		WatchesRawSource(source.Channel(changed, ctrlhandler.EnqueueRequestsFromMapFunc(one))).
		Complete(&Registrar{c})
}

// Reconcile implements reconcile.Reconciler.
func (r *Registrar) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	live := &admissionv1.ValidatingWebhookConfiguration{}
	if err := r.config.Own.Get(ctx, req.NamespacedName, live); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	var bundle []byte
	if r.config.Bundle != nil {
		if bundle = r.config.Bundle(); len(bundle) == 0 {
			return ctrl.Result{}, nil // an event comes when there is one
		}
	}
	classes, err := newLookup(ctx, r.config).Classes()
	if err != nil {
		return ctrl.Result{}, err
	}
	content, due := admission.Registration(live, bundle, classes)
	if !due {
		return ctrl.Result{}, nil
	}
	apply := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content})
	if err := r.config.Writer.Apply(ctx, apply, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		return ctrl.Result{}, fmt.Errorf("ValidatingWebhookConfiguration %s: %w", live.Name, err)
	}
	r.config.log().Info("The webhook's registration is up to date", "classes", len(classes.Ours), "certificates", r.config.Bundle != nil)
	return ctrl.Result{}, nil
}

// Ready reports whether reviews can be answered: a check for readiness. started
// is the server's own.
func Ready(c Config, started func(*http.Request) error) func(*http.Request) error {
	return func(req *http.Request) error {
		if c.Bundle != nil && len(c.Bundle()) == 0 {
			return errors.New("the webhook has no certificate yet")
		}
		if _, err := newLookup(req.Context(), c).Classes(); err != nil {
			return fmt.Errorf("the webhook's caches: %w", err)
		}
		return started(req)
	}
}
