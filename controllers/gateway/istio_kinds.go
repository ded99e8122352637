// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

// istioKind is one of Istio's kinds that the operator writes and watches.
type istioKind struct {
	crd string
	gvk schema.GroupVersionKind
}

var (
	peerAuthenticationKind = istioKind{
		"peerauthentications.security.istio.io",
		schema.GroupVersionKind{Group: "security.istio.io", Version: "v1", Kind: "PeerAuthentication"},
	}
	destinationRuleKind = istioKind{
		"destinationrules.networking.istio.io",
		schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "DestinationRule"},
	}
	sidecarKind = istioKind{
		"sidecars.networking.istio.io",
		schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "Sidecar"},
	}
	istioKinds = []istioKind{peerAuthenticationKind, destinationRuleKind, sidecarKind}
)

// IstioKinds follows the CustomResourceDefinitions of Istio's kinds: a kind is watched from the moment its definition is
// established until it goes. Safe for concurrent use.
type IstioKinds struct {
	// Cache runs the informers.
	Cache cache.Cache
	// Handler maps an Istio object to the gateways that it concerns.
	Handler handler.TypedEventHandler[client.Object, ctrl.Request]

	mu         sync.RWMutex
	looked     bool
	watched    map[string]bool
	controller controller.Controller
	changes    chan event.GenericEvent
}

// NewIstioKinds returns an IstioKinds that watches nothing yet.
func NewIstioKinds(c cache.Cache, h handler.TypedEventHandler[client.Object, ctrl.Request]) *IstioKinds {
	return &IstioKinds{Cache: c, Handler: h, watched: map[string]bool{}, changes: make(chan event.GenericEvent, 64)}
}

// Served says which kinds are there.
func (k *IstioKinds) Served() render.IstioKinds {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return render.IstioKinds{
		PeerAuthentication: k.watched[peerAuthenticationKind.crd],
		DestinationRule:    k.watched[destinationRuleKind.crd],
		Sidecar:            k.watched[sidecarKind.crd],
	}
}

// kindsOf lists the kinds that are served, always in the same order.
func kindsOf(served render.IstioKinds) []istioKind {
	var out []istioKind
	for _, k := range []struct {
		kind  istioKind
		there bool
	}{
		{peerAuthenticationKind, served.PeerAuthentication},
		{destinationRuleKind, served.DestinationRule},
		{sidecarKind, served.Sidecar},
	} {
		if k.there {
			out = append(out, k.kind)
		}
	}
	return out
}

// Look makes sure that every kind has been looked for once. Before that, "not served" would only mean "not seen yet",
// and a starting manager would take policies away.
func (k *IstioKinds) Look(ctx context.Context) error {
	k.mu.RLock()
	looked := k.looked
	k.mu.RUnlock()
	if looked {
		return nil
	}
	for _, kind := range istioKinds {
		if err := k.follow(ctx, kind); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked = true
	return nil
}

// Reconcile starts or stops the informer of one kind; its request names a CustomResourceDefinition.
func (k *IstioKinds) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	for _, kind := range istioKinds {
		if kind.crd == req.Name {
			return ctrl.Result{}, k.follow(ctx, kind)
		}
	}
	return ctrl.Result{}, nil
}

func (k *IstioKinds) follow(ctx context.Context, kind istioKind) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	err := k.Cache.Get(ctx, client.ObjectKey{Name: kind.crd}, crd)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading CustomResourceDefinition %s: %w", kind.crd, err)
	}
	established := err == nil && crd.DeletionTimestamp == nil && serves(crd, kind.gvk.Version)
	k.mu.Lock()
	defer k.mu.Unlock()
	if established == k.watched[kind.crd] {
		return nil
	}
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind.gvk)
	if established {
		log.FromContext(ctx).Info("Starting to watch Istio kind", "kind", kind.gvk.Kind)
		if err := k.controller.Watch(source.Kind[client.Object](k.Cache, obj, k.Handler, predicate.ResourceVersionChangedPredicate{})); err != nil {
			return fmt.Errorf("watching %s: %w", kind.gvk.Kind, err)
		}
	} else {
		log.FromContext(ctx).Info("Stopping to watch Istio kind, its definition is gone", "kind", kind.gvk.Kind)
		if err := k.Cache.RemoveInformer(ctx, obj); err != nil {
			return fmt.Errorf("stopping the watch of %s: %w", kind.gvk.Kind, err)
		}
	}
	k.watched[kind.crd] = established
	k.changes <- event.GenericEvent{Object: obj}
	return nil
}

func serves(crd *apiextensionsv1.CustomResourceDefinition, version string) bool {
	established := false
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established {
			established = c.Status == apiextensionsv1.ConditionTrue
		}
	}
	for _, v := range crd.Spec.Versions {
		if v.Name == version {
			return established && v.Served
		}
	}
	return false
}

// StripDefinition drops the schemas of a CustomResourceDefinition before it enters the cache: they are megabytes, and
// only names and states are looked at.
func StripDefinition(obj any) (any, error) {
	if crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition); ok {
		for i := range crd.Spec.Versions {
			crd.Spec.Versions[i].Schema = nil
		}
		crd.ManagedFields = nil
		crd.Annotations = nil
	}
	return obj, nil
}
