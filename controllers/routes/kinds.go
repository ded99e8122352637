// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"errors"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// crdKind is a kind that comes and goes with its CRD.
type crdKind struct {
	kind    store.Kind
	version string
	object  func() client.Object
}

// crdKinds are those kinds, by CRD name.
var crdKinds = map[string]crdKind{
	"kongplugins.configuration.konghq.com":              {store.KindKongPlugin, "v1", func() client.Object { return &kongv1.KongPlugin{} }},
	"kongclusterplugins.configuration.konghq.com":       {store.KindKongClusterPlugin, "v1", func() client.Object { return &kongv1.KongClusterPlugin{} }},
	"kongconsumers.configuration.konghq.com":            {store.KindKongConsumer, "v1", func() client.Object { return &kongv1.KongConsumer{} }},
	"kongingresses.configuration.konghq.com":            {store.KindKongIngress, "v1", func() client.Object { return &kongv1.KongIngress{} }},
	"kongconsumergroups.configuration.konghq.com":       {store.KindKongConsumerGroup, "v1beta1", func() client.Object { return &kongv1beta1.KongConsumerGroup{} }},
	"kongupstreampolicies.configuration.konghq.com":     {store.KindUpstreamPolicy, "v1beta1", func() client.Object { return &kongv1beta1.KongUpstreamPolicy{} }},
	"tcpingresses.configuration.konghq.com":             {store.KindTCPIngress, "v1beta1", func() client.Object { return &kongv1beta1.TCPIngress{} }},
	"udpingresses.configuration.konghq.com":             {store.KindUDPIngress, "v1beta1", func() client.Object { return &kongv1beta1.UDPIngress{} }},
	"kongvaults.configuration.konghq.com":               {store.KindKongVault, "v1alpha1", func() client.Object { return &kongv1alpha1.KongVault{} }},
	"kongcustomentities.configuration.konghq.com":       {store.KindKongCustomEntity, "v1alpha1", func() client.Object { return &kongv1alpha1.KongCustomEntity{} }},
	"ingressclassparameterses.configuration.konghq.com": {store.KindIngressClassParameters, "v1alpha1", func() client.Object { return &kongv1alpha1.IngressClassParameters{} }},
	"referencegrants.gateway.networking.k8s.io":         {store.KindReferenceGrant, "v1beta1", func() client.Object { return &gatewayv1beta1.ReferenceGrant{} }},
}

// coreKinds are always there. Only metadata of Secrets is watched, and of
// ConfigMaps those that CacheOptions lets in.
func coreKinds() []client.Object {
	secrets := &metav1.PartialObjectMetadata{}
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return []client.Object{
		&networkingv1.Ingress{}, &networkingv1.IngressClass{}, &corev1.Service{}, &discoveryv1.EndpointSlice{}, &corev1.ConfigMap{}, secrets,
	}
}

func addToScheme(s *runtime.Scheme) error {
	return errors.Join(store.AddToScheme(s), apiextensionsv1.AddToScheme(s), eventsv1.AddToScheme(s))
}

// statusKind is a kind whose status this package writes: conditions, or a load
// balancer's addresses.
type statusKind struct {
	owner      fragment.OwnerKind
	gvk        schema.GroupVersionKind
	object     func() client.Object
	conditions func(client.Object) []metav1.Condition
	addresses  func(client.Object) []networkingv1.IngressLoadBalancerIngress
}

// statusKinds are those kinds but KongUpstreamPolicy, whose status is made from
// the Services that name it.
var statusKinds = map[store.Kind]statusKind{
	store.KindIngress: {
		owner: fragment.OwnerIngress, gvk: networkingv1.SchemeGroupVersion.WithKind("Ingress"),
		object: func() client.Object { return &networkingv1.Ingress{} },
		addresses: func(o client.Object) []networkingv1.IngressLoadBalancerIngress {
			return o.(*networkingv1.Ingress).Status.LoadBalancer.Ingress
		},
	},
	store.KindTCPIngress: {
		owner: fragment.OwnerTCPIngress, gvk: kongv1beta1.SchemeGroupVersion.WithKind("TCPIngress"),
		object: func() client.Object { return &kongv1beta1.TCPIngress{} },
		addresses: func(o client.Object) []networkingv1.IngressLoadBalancerIngress {
			return addressesOf(o.(*kongv1beta1.TCPIngress).Status.LoadBalancer)
		},
	},
	store.KindUDPIngress: {
		owner: fragment.OwnerUDPIngress, gvk: kongv1beta1.SchemeGroupVersion.WithKind("UDPIngress"),
		object: func() client.Object { return &kongv1beta1.UDPIngress{} },
		addresses: func(o client.Object) []networkingv1.IngressLoadBalancerIngress {
			return addressesOf(o.(*kongv1beta1.UDPIngress).Status.LoadBalancer)
		},
	},
	store.KindKongPlugin: {
		owner: fragment.OwnerPlugin, gvk: kongv1.SchemeGroupVersion.WithKind("KongPlugin"),
		object:     func() client.Object { return &kongv1.KongPlugin{} },
		conditions: func(o client.Object) []metav1.Condition { return o.(*kongv1.KongPlugin).Status.Conditions },
	},
	store.KindKongClusterPlugin: {
		owner: fragment.OwnerPlugin, gvk: kongv1.SchemeGroupVersion.WithKind("KongClusterPlugin"),
		object:     func() client.Object { return &kongv1.KongClusterPlugin{} },
		conditions: func(o client.Object) []metav1.Condition { return o.(*kongv1.KongClusterPlugin).Status.Conditions },
	},
	store.KindKongConsumer: {
		owner: fragment.OwnerConsumer, gvk: kongv1.SchemeGroupVersion.WithKind("KongConsumer"),
		object:     func() client.Object { return &kongv1.KongConsumer{} },
		conditions: func(o client.Object) []metav1.Condition { return o.(*kongv1.KongConsumer).Status.Conditions },
	},
	store.KindKongConsumerGroup: {
		owner: fragment.OwnerConsumerGroup, gvk: kongv1beta1.SchemeGroupVersion.WithKind("KongConsumerGroup"),
		object:     func() client.Object { return &kongv1beta1.KongConsumerGroup{} },
		conditions: func(o client.Object) []metav1.Condition { return o.(*kongv1beta1.KongConsumerGroup).Status.Conditions },
	},
	store.KindKongVault: {
		owner: fragment.OwnerVault, gvk: kongv1alpha1.SchemeGroupVersion.WithKind("KongVault"),
		object:     func() client.Object { return &kongv1alpha1.KongVault{} },
		conditions: func(o client.Object) []metav1.Condition { return o.(*kongv1alpha1.KongVault).Status.Conditions },
	},
	store.KindKongCustomEntity: {
		owner: fragment.OwnerCustomEntity, gvk: kongv1alpha1.SchemeGroupVersion.WithKind("KongCustomEntity"),
		object:     func() client.Object { return &kongv1alpha1.KongCustomEntity{} },
		conditions: func(o client.Object) []metav1.Condition { return o.(*kongv1alpha1.KongCustomEntity).Status.Conditions },
	},
}

// ownerOf returns the unit that an object's status is made from.
func ownerOf(key store.Key) fragment.Owner {
	return fragment.Owner{Kind: statusKinds[key.Kind].owner, Namespace: key.Namespace, Name: key.Name}
}

// subjectOf returns the object whose status is made from a unit; ok is false
// when there is none.
func subjectOf(o fragment.Owner) (key store.Key, ok bool) {
	if o.Kind == fragment.OwnerPlugin && o.Namespace == "" {
		return store.Key{Kind: store.KindKongClusterPlugin, Name: o.Name}, true
	}
	for kind, k := range statusKinds {
		if k.owner == o.Kind && kind != store.KindKongClusterPlugin {
			return store.Key{Kind: kind, Namespace: o.Namespace, Name: o.Name}, true
		}
	}
	return store.Key{}, false
}

// isRoute reports whether a unit's object has addresses.
func isRoute(o fragment.Owner) bool {
	key, ok := subjectOf(o)
	return ok && statusKinds[key.Kind].addresses != nil
}
