// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"maps"
	"slices"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// Kind is a kind of object that the store keeps.
type Kind string

// The kinds.
const (
	KindIngress           Kind = "Ingress"
	KindIngressClass      Kind = "IngressClass"
	KindService           Kind = "Service"
	KindEndpointSlice     Kind = "EndpointSlice"
	KindSecret            Kind = "Secret"
	KindKongPlugin        Kind = "KongPlugin"
	KindKongClusterPlugin Kind = "KongClusterPlugin"
	KindKongConsumer      Kind = "KongConsumer"
	KindKongConsumerGroup Kind = "KongConsumerGroup"
	KindUpstreamPolicy    Kind = "KongUpstreamPolicy"
	KindReferenceGrant    Kind = "ReferenceGrant"
	// KindConfigMap stands for the ConfigMaps labelled konghq.com/ca-cert.
	KindConfigMap              Kind = "ConfigMap"
	KindTCPIngress             Kind = "TCPIngress"
	KindUDPIngress             Kind = "UDPIngress"
	KindKongIngress            Kind = "KongIngress"
	KindKongVault              Kind = "KongVault"
	KindKongCustomEntity       Kind = "KongCustomEntity"
	KindIngressClassParameters Kind = "IngressClassParameters"
)

// AddToScheme adds all kinds that the store keeps.
func AddToScheme(s *runtime.Scheme) error {
	return errors.Join(
		corev1.AddToScheme(s), netv1.AddToScheme(s), discoveryv1.AddToScheme(s),
		kongv1.AddToScheme(s), kongv1beta1.AddToScheme(s), kongv1alpha1.AddToScheme(s), gatewayv1beta1.Install(s),
	)
}

// Key names an object in the store. Namespace is empty for cluster-scoped
// kinds.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

// KeyOf returns the key of an object; ok is false for kinds that the store does
// not keep. A namespace on a cluster-scoped object is left out.
func KeyOf(o client.Object) (key Key, ok bool) {
	key = Key{Namespace: o.GetNamespace(), Name: o.GetName()}
	switch o.(type) {
	case *netv1.Ingress:
		key.Kind = KindIngress
	case *netv1.IngressClass:
		key.Kind, key.Namespace = KindIngressClass, ""
	case *corev1.Service:
		key.Kind = KindService
	case *discoveryv1.EndpointSlice:
		key.Kind = KindEndpointSlice
	case *corev1.Secret:
		key.Kind = KindSecret
	case *kongv1.KongPlugin:
		key.Kind = KindKongPlugin
	case *kongv1.KongClusterPlugin:
		key.Kind, key.Namespace = KindKongClusterPlugin, ""
	case *kongv1.KongConsumer:
		key.Kind = KindKongConsumer
	case *kongv1beta1.KongConsumerGroup:
		key.Kind = KindKongConsumerGroup
	case *kongv1beta1.KongUpstreamPolicy:
		key.Kind = KindUpstreamPolicy
	case *gatewayv1beta1.ReferenceGrant:
		key.Kind = KindReferenceGrant
	case *corev1.ConfigMap:
		key.Kind = KindConfigMap
	case *kongv1beta1.TCPIngress:
		key.Kind = KindTCPIngress
	case *kongv1beta1.UDPIngress:
		key.Kind = KindUDPIngress
	case *kongv1.KongIngress:
		key.Kind = KindKongIngress
	case *kongv1alpha1.KongVault:
		key.Kind, key.Namespace = KindKongVault, ""
	case *kongv1alpha1.KongCustomEntity:
		key.Kind = KindKongCustomEntity
	case *kongv1alpha1.IngressClassParameters:
		key.Kind = KindIngressClassParameters
	default:
		return Key{}, false
	}
	return key, true
}

// sameForTranslation reports whether two versions of an object differ in
// nothing that a translation looks at. Status and bookkeeping do not count:
// our own status writes must not translate anything again.
func sameForTranslation(a, b client.Object) bool {
	if a.GetUID() != b.GetUID() || !maps.Equal(a.GetAnnotations(), b.GetAnnotations()) || !maps.Equal(a.GetLabels(), b.GetLabels()) {
		return false
	}
	switch a := a.(type) {
	case *corev1.Service: // has no generation
		b, ok := b.(*corev1.Service)
		return ok && equality.Semantic.DeepEqual(a.Spec, b.Spec)
	case *corev1.ConfigMap: // has none either
		b, ok := b.(*corev1.ConfigMap)
		return ok && maps.Equal(a.Data, b.Data)
	case *corev1.Secret:
		b, ok := b.(*corev1.Secret)
		return ok && a.ResourceVersion == b.ResourceVersion
	}
	return a.GetGeneration() == b.GetGeneration() && a.GetGeneration() != 0
}

// objects is the cache proper.
type objects struct {
	byKey map[Key]client.Object
	// slices lists the EndpointSlices of each Service, by name.
	slices map[Key]map[string]*discoveryv1.EndpointSlice
	// grants lists the ReferenceGrants of each namespace, by name.
	grants map[string]map[string]*gatewayv1beta1.ReferenceGrant
}

func newObjects() objects {
	return objects{
		byKey:  make(map[Key]client.Object),
		slices: make(map[Key]map[string]*discoveryv1.EndpointSlice),
		grants: make(map[string]map[string]*gatewayv1beta1.ReferenceGrant),
	}
}

// index adds (or removes) an object to the lists it is part of.
func (o *objects) index(object client.Object, add bool) {
	switch object := object.(type) {
	case *discoveryv1.EndpointSlice:
		put(o.slices, sliceService(object), object.Name, object, add)
	case *gatewayv1beta1.ReferenceGrant:
		put(o.grants, object.Namespace, object.Name, object, add)
	}
}

func put[K comparable, V any](m map[K]map[string]V, list K, name string, v V, add bool) {
	if !add {
		delete(m[list], name)
		if len(m[list]) == 0 {
			delete(m, list)
		}
		return
	}
	if m[list] == nil {
		m[list] = make(map[string]V)
	}
	m[list][name] = v
}

// sliceService returns the Service that a slice belongs to.
func sliceService(s *discoveryv1.EndpointSlice) Key {
	return Key{Kind: KindEndpointSlice, Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
}

func (o *objects) endpointSlices(namespace, service string) []*discoveryv1.EndpointSlice {
	m := o.slices[Key{Kind: KindEndpointSlice, Namespace: namespace, Name: service}]
	list := make([]*discoveryv1.EndpointSlice, 0, len(m))
	for _, s := range m {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	return list
}
