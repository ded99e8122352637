// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// CacheOptions returns options for Config.Cache that keep what this package has
// no use for out of memory: what slim takes out, ConfigMaps without CA
// certificates, and all of the CRDs but whether they are served. Reading starts
// no informer: that of a kind whose CRD is gone would never be filled.
func CacheOptions(scheme *runtime.Scheme) cache.Options {
	return cache.Options{
		Scheme: scheme, DefaultTransform: transform, ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.ConfigMap{}: {Label: labels.SelectorFromSet(labels.Set{fragment.LabelCACertificate: "true"})},
			&apiextensionsv1.CustomResourceDefinition{}: {Transform: func(o any) (any, error) {
				crd, ok := o.(*apiextensionsv1.CustomResourceDefinition)
				if !ok {
					return o, nil
				}
				slim := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{
					Name: crd.Name, UID: crd.UID, ResourceVersion: crd.ResourceVersion, DeletionTimestamp: crd.DeletionTimestamp,
				}}
				for _, v := range crd.Spec.Versions {
					slim.Spec.Versions = append(slim.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{Name: v.Name, Served: v.Served})
				}
				slim.Status.Conditions = crd.Status.Conditions
				return slim, nil
			}},
		},
	}
}

// watch starts all informers and returns when the store holds everything that
// exists.
func (c *ControlPlane) watch(ctx context.Context) error {
	for _, o := range coreKinds() {
		synced, err := c.feed(ctx, o)
		if err != nil {
			return err
		}
		if err := c.await(ctx, fmt.Sprintf("%T", o), synced); err != nil {
			return err
		}
	}
	informer, err := c.config.Cache.GetInformer(ctx, &apiextensionsv1.CustomResourceDefinition{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching CustomResourceDefinitions: %w", err)
	}
	changed := func(o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if crd, ok := o.(*apiextensionsv1.CustomResourceDefinition); ok && crdKinds[crd.Name].object != nil {
			c.kinds.Add(crd.Name)
		}
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed,
	})
	if err != nil {
		return fmt.Errorf("watching CustomResourceDefinitions: %w", err)
	}
	if err := c.await(ctx, "CustomResourceDefinition", registration); err != nil {
		return err
	}
	return c.watchServed(ctx)
}

// watchServed starts the informers of the kinds that are served already.
func (c *ControlPlane) watchServed(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(crdKinds)) {
		for c.watchKind(ctx, name) != nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second): // discovery follows the CRD's condition
			}
		}
		if r := c.watched[crdKinds[name].kind]; r != nil {
			if err := c.await(ctx, name, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// syncWarning is how long one kind is waited for before the log says what is waited for.
const syncWarning = 15 * time.Second

// await returns when all objects of a kind are in the store. It has no limit:
// publishing without them would take away from the proxies what they run.
func (c *ControlPlane) await(ctx context.Context, kind string, r toolscache.ResourceEventHandlerRegistration) error {
	warn := time.AfterFunc(syncWarning, func() {
		c.log.Warn("Objects of a kind cannot be listed yet, and nothing is published without them; "+
			"is the manager's ClusterRole up to date, and the API server well?", "kind", kind)
	})
	defer warn.Stop()
	if !toolscache.WaitForCacheSync(ctx.Done(), r.HasSynced) {
		return ctx.Err()
	}
	return nil
}

// feed starts the informer of a kind and puts its objects into the store.
func (c *ControlPlane) feed(ctx context.Context, o client.Object) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := c.config.Cache.GetInformer(ctx, o, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching %T: %w", o, err)
	}
	set := func(o any) {
		switch o := o.(type) {
		case *metav1.PartialObjectMetadata:
			c.store.SecretChanged(o.Namespace, o.Name)
		case client.Object:
			c.store.Set(o)
		}
	}
	return informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, o any) { set(o) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			switch o := o.(type) {
			case *metav1.PartialObjectMetadata:
				c.store.SecretDeleted(o.Namespace, o.Name)
			case client.Object:
				c.store.Delete(o)
			}
		},
	})
}

// watchKind starts or ends the informer of a kind, as its CRD says. It is called
// by one goroutine.
func (c *ControlPlane) watchKind(ctx context.Context, name string) error {
	known := crdKinds[name]
	crd := &apiextensionsv1.CustomResourceDefinition{}
	err := c.config.Cache.Get(ctx, types.NamespacedName{Name: name}, crd)
	if err := client.IgnoreNotFound(err); err != nil {
		return err
	}
	serve := err == nil && serves(crd, known.version)
	switch running := c.watched[known.kind] != nil; {
	case serve && !running:
		registration, err := c.feed(ctx, known.object())
		if err != nil {
			c.log.Warn("A kind cannot be watched yet; it is tried again", "kind", known.kind, "error", err)
			return err
		}
		c.watched[known.kind] = registration
	case !serve && running:
		if err := c.config.Cache.RemoveInformer(ctx, known.object()); err != nil {
			return fmt.Errorf("end the watch of %s: %w", known.kind, err)
		}
		delete(c.watched, known.kind)
		c.store.Forget(known.kind)
		c.log.Info("A kind is no longer served; its objects are gone", "kind", known.kind)
	}
	return nil
}

// serves reports whether objects of the version can be read.
func serves(crd *apiextensionsv1.CustomResourceDefinition, version string) bool {
	if crd.DeletionTimestamp != nil {
		return false
	}
	established := false
	for _, condition := range crd.Status.Conditions {
		if condition.Type == apiextensionsv1.Established {
			established = condition.Status == apiextensionsv1.ConditionTrue
		}
	}
	for _, v := range crd.Spec.Versions {
		if v.Name == version {
			return established && v.Served
		}
	}
	return false
}
