// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"reflect"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// Configures reports whether a kind that translation does not read is one with
// which users of Kong configure what is served: of Kong's groups and of the
// Gateway API, and Ingresses of versions that are not read. A KongIstioGateway is
// not: it says where something is served.
func Configures(kind metav1.TypeMeta) bool {
	group := schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind).Group
	if kind.Kind == "KongIstioGateway" {
		return false
	}
	old := kind.Kind == "Ingress" && (group == "networking.k8s.io" || group == "extensions")
	return old || strings.HasSuffix(group, ".konghq.com") || group == "gateway.networking.k8s.io"
}

// ReadAs returns the apiVersion in which a kind is read, "" for one that is not:
// for those who wrote another.
func ReadAs(kind string) string {
	scheme := runtime.NewScheme()
	if err := store.AddToScheme(scheme); err != nil {
		return ""
	}
	for gvk, typ := range scheme.AllKnownTypes() {
		if gvk.Kind != kind {
			continue
		}
		if o, ok := reflect.New(typ).Interface().(client.Object); ok {
			if _, ok := store.KeyOf(o); ok {
				return gvk.GroupVersion().String()
			}
		}
	}
	return ""
}

// Classless returns the objects that only the gateway of their class serves, in
// a cluster without a default class, and that name none.
func Classless(objects []client.Object) []client.Object {
	var list []client.Object
	for _, o := range objects {
		switch c := o.(type) {
		case *netv1.IngressClass:
			if store.IsDefault(c) {
				return nil // it is what names no class belongs to
			}
		case *netv1.Ingress:
			if c.Spec.IngressClassName == nil && c.Annotations[fragment.AnnotationClass] == "" {
				list = append(list, o)
			}
		case *kongv1beta1.TCPIngress, *kongv1beta1.UDPIngress, *kongv1.KongConsumer, *kongv1beta1.KongConsumerGroup,
			*kongv1.KongClusterPlugin, *kongv1alpha1.KongVault:
			if o.GetAnnotations()[fragment.AnnotationClass] == "" {
				list = append(list, o)
			}
		}
	}
	return list
}
