// SPDX-License-Identifier: Apache-2.0

package store

import (
	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	netv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/ingress"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
)

// subjectOf returns the object that a unit is made from.
func subjectOf(o fragment.Owner) Key {
	switch o.Kind {
	case fragment.OwnerIngress:
		return Key{KindIngress, o.Namespace, o.Name}
	case fragment.OwnerTCPIngress:
		return Key{KindTCPIngress, o.Namespace, o.Name}
	case fragment.OwnerUDPIngress:
		return Key{KindUDPIngress, o.Namespace, o.Name}
	case fragment.OwnerVault:
		return Key{KindKongVault, "", o.Name}
	case fragment.OwnerCustomEntity:
		return Key{KindKongCustomEntity, o.Namespace, o.Name}
	case fragment.OwnerCAConfigMap:
		return Key{KindConfigMap, o.Namespace, o.Name}
	case fragment.OwnerConsumer:
		return Key{KindKongConsumer, o.Namespace, o.Name}
	case fragment.OwnerConsumerGroup:
		return Key{KindKongConsumerGroup, o.Namespace, o.Name}
	case fragment.OwnerBackend:
		return Key{KindService, o.Namespace, fragment.BackendOf(o).Service}
	case fragment.OwnerCertificate, fragment.OwnerCACertificate:
		return Key{KindSecret, o.Namespace, o.Name}
	case fragment.OwnerUpstreamPolicy:
		return Key{KindUpstreamPolicy, o.Namespace, o.Name}
	case fragment.OwnerKongIngress:
		return Key{KindKongIngress, o.Namespace, o.Name}
	case fragment.OwnerPlugin:
		if o.Namespace != "" {
			return Key{KindKongPlugin, o.Namespace, o.Name}
		}
	}
	return Key{KindKongClusterPlugin, "", o.Name}
}

// rootOwner returns the unit that an object of a gateway's class makes by
// itself; ok is false for objects that only count when something refers to them.
func rootOwner(key Key, o client.Object) (owner fragment.Owner, ok bool) {
	owner = fragment.Owner{Namespace: key.Namespace, Name: key.Name}
	switch o := o.(type) {
	case *netv1.Ingress:
		owner.Kind = fragment.OwnerIngress
	case *kongv1beta1.TCPIngress:
		owner.Kind = fragment.OwnerTCPIngress
	case *kongv1beta1.UDPIngress:
		owner.Kind = fragment.OwnerUDPIngress
	case *kongv1alpha1.KongVault:
		owner.Kind = fragment.OwnerVault
	case *kongv1alpha1.KongCustomEntity:
		owner.Kind = fragment.OwnerCustomEntity
	case *kongv1.KongConsumer:
		owner.Kind = fragment.OwnerConsumer
	case *kongv1beta1.KongConsumerGroup:
		owner.Kind = fragment.OwnerConsumerGroup
	case *kongv1.KongClusterPlugin:
		if !kongcrd.IsGlobal(o) {
			return fragment.Owner{}, false
		}
		owner.Kind = fragment.OwnerGlobalPlugin
	default:
		return fragment.Owner{}, false
	}
	return owner, true
}

// isRoot reports whether units of the kind exist because of their object, not
// because another unit refers to them.
func isRoot(kind fragment.OwnerKind) bool {
	switch kind {
	case fragment.OwnerIngress, fragment.OwnerTCPIngress, fragment.OwnerUDPIngress, fragment.OwnerConsumer,
		fragment.OwnerConsumerGroup, fragment.OwnerGlobalPlugin, fragment.OwnerVault, fragment.OwnerCustomEntity:
		return true
	}
	return false
}

// isPolicy reports whether units of the kind say how backends are made, and have
// no entities.
func isPolicy(kind fragment.OwnerKind) bool {
	return kind == fragment.OwnerUpstreamPolicy || kind == fragment.OwnerKongIngress
}

// owns reports whether a root object belongs to the gateway's class.
func owns(s fragment.Settings, o client.Object) bool {
	var class *string
	switch o := o.(type) {
	case *netv1.Ingress:
		class = o.Spec.IngressClassName
	case *kongv1alpha1.KongCustomEntity:
		return o.Spec.ControllerName == s.Class
	}
	return s.Owns(o.GetAnnotations(), class)
}

// translate runs the translator of a unit's kind. The subject is read through
// the recorder, like everything else.
func (g *graph) translate(o fragment.Owner, r *recorder) fragment.Result {
	switch o.Kind {
	case fragment.OwnerBackend:
		return ingress.TranslateBackend(fragment.BackendOf(o), r)
	case fragment.OwnerCertificate:
		return ingress.TranslateCertificate(o.Namespace, o.Name, r)
	case fragment.OwnerCACertificate:
		return ingress.TranslateCACertificate(o.Namespace, o.Name, r)
	case fragment.OwnerCAConfigMap:
		return ingress.TranslateCAConfigMap(o.Namespace, o.Name, r)
	}
	switch s := r.object(subjectOf(o)).(type) {
	case *netv1.Ingress:
		return ingress.Translate(s, r)
	case *kongv1beta1.TCPIngress:
		return ingress.TranslateTCP(s, r)
	case *kongv1beta1.UDPIngress:
		return ingress.TranslateUDP(s, r)
	case *kongv1alpha1.KongVault:
		return kongcrd.TranslateVault(s, r)
	case *kongv1alpha1.KongCustomEntity:
		return kongcrd.TranslateCustomEntity(s, r)
	case *kongv1.KongPlugin:
		return kongcrd.TranslatePlugin(s, r)
	case *kongv1.KongClusterPlugin:
		if o.Kind == fragment.OwnerGlobalPlugin {
			return kongcrd.TranslateGlobal(s, r)
		}
		return kongcrd.TranslateClusterPlugin(s, r)
	case *kongv1beta1.KongUpstreamPolicy:
		return kongcrd.TranslateUpstreamPolicy(s, r)
	case *kongv1.KongIngress:
		return kongcrd.TranslateKongIngress(s, r)
	case *kongv1.KongConsumer:
		return kongcrd.TranslateConsumer(s, r)
	case *kongv1beta1.KongConsumerGroup:
		return kongcrd.TranslateConsumerGroup(s, r)
	}
	return fragment.Result{}
}
