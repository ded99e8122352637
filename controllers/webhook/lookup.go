// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// lookup answers one review's questions. It implements admission.Lookup.
type lookup struct {
	config Config
	// list and get read a cache, secret the API server.
	list   func(client.Reader, client.ObjectList, ...client.ListOption) error
	get    func(client.Reader, types.NamespacedName, client.Object) error
	secret func(types.NamespacedName) (*corev1.Secret, error)
}

var _ admission.Lookup = (*lookup)(nil)

// newLookup returns a Lookup that is good while ctx lasts.
func newLookup(ctx context.Context, c Config) *lookup {
	return &lookup{
		config: c,
		list: func(r client.Reader, into client.ObjectList, options ...client.ListOption) error {
			return r.List(ctx, into, append(options, client.UnsafeDisableDeepCopy)...)
		},
		get: func(r client.Reader, key types.NamespacedName, into client.Object) error {
			return r.Get(ctx, key, into)
		},
		secret: func(key types.NamespacedName) (*corev1.Secret, error) {
			s := &corev1.Secret{}
			err := c.Reader.Get(ctx, key, s)
			if apierrors.IsNotFound(err) {
				return nil, nil
			}
			if err != nil {
				return nil, fmt.Errorf("read Secret %s: %w", key, err)
			}
			return s, nil
		},
	}
}

// served drops the error of a kind whose CRD is not installed: there are no
// objects of it.
func served(err error) error {
	var missing *cache.ErrResourceNotCached
	if errors.As(err, &missing) {
		return nil
	}
	return err
}

// Classes implements admission.Lookup.
func (l *lookup) Classes() (admission.Classes, error) {
	var list networkingv1.IngressClassList
	if err := l.list(l.config.Objects, &list); err != nil {
		return admission.Classes{}, err
	}
	return classesOf(list.Items, l.config.Controller, l.config.OwnerAnnotation, l.parameters)
}

// parameters returns IngressClassParameters, with nothing set when they do not
// exist.
func (l *lookup) parameters(name types.NamespacedName) (kongv1alpha1.IngressClassParametersSpec, error) {
	p := &kongv1alpha1.IngressClassParameters{}
	err := served(l.get(l.config.Objects, name, p))
	return p.Spec, client.IgnoreNotFound(err)
}

// classesOf tells whose classes are whose: ours name our controller and the
// gateway that serves them.
func classesOf(
	list []networkingv1.IngressClass, controller, ownerAnnotation string,
	parameters func(types.NamespacedName) (kongv1alpha1.IngressClassParametersSpec, error),
) (admission.Classes, error) {
	var out admission.Classes
	for i := range list {
		c := &list[i]
		switch {
		case c.Spec.Controller == fragment.KongController:
			out.Shared = true
		case c.Spec.Controller == controller && c.Annotations[ownerAnnotation] != "":
			settings := fragment.Settings{
				Class: c.Name, DefaultClass: c.Annotations[fragment.AnnotationDefaultClass] == "true", LocalRefused: true,
			}
			if name, ok := store.ParametersOf(c); ok {
				p, err := parameters(name)
				if err != nil {
					return admission.Classes{}, err
				}
				settings.LegacyRegexDetection = p.EnableLegacyRegexDetection
			}
			out.Ours = append(out.Ours, settings)
		}
	}
	slices.SortFunc(out.Ours, func(a, b fragment.Settings) int { return cmp.Compare(a.Class, b.Class) })
	return out, nil
}

// Secret implements admission.Lookup.
func (l *lookup) Secret(namespace, name string) (*corev1.Secret, error) {
	return l.secret(types.NamespacedName{Namespace: namespace, Name: name})
}

// Consumers implements admission.Lookup.
func (l *lookup) Consumers() ([]*kongv1.KongConsumer, error) {
	var list kongv1.KongConsumerList
	err := served(l.list(l.config.Objects, &list))
	return pointers(list.Items), err
}

// ConsumerGroups implements admission.Lookup.
func (l *lookup) ConsumerGroups() ([]*kongv1beta1.KongConsumerGroup, error) {
	var list kongv1beta1.KongConsumerGroupList
	err := served(l.list(l.config.Objects, &list))
	return pointers(list.Items), err
}

// Plugins implements admission.Lookup.
func (l *lookup) Plugins(namespace string) ([]*kongv1.KongPlugin, error) {
	var list kongv1.KongPluginList
	err := served(l.list(l.config.Objects, &list, client.InNamespace(namespace)))
	return pointers(list.Items), err
}

// ClusterPlugins implements admission.Lookup.
func (l *lookup) ClusterPlugins() ([]*kongv1.KongClusterPlugin, error) {
	var list kongv1.KongClusterPluginList
	err := served(l.list(l.config.Objects, &list))
	return pointers(list.Items), err
}

// Vaults implements admission.Lookup.
func (l *lookup) Vaults() ([]*kongv1alpha1.KongVault, error) {
	var list kongv1alpha1.KongVaultList
	err := served(l.list(l.config.Objects, &list))
	return pointers(list.Items), err
}

// SameCredential implements admission.Lookup.
func (l *lookup) SameCredential(key string) ([]types.NamespacedName, error) {
	var list corev1.SecretList
	if err := l.list(l.config.Own, &list, client.MatchingFields{indexCredential: key}); err != nil {
		return nil, err
	}
	out := make([]types.NamespacedName, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, client.ObjectKeyFromObject(&list.Items[i]))
	}
	return out, nil
}

// Routes implements admission.Lookup.
func (l *lookup) Routes() ([]metav1.Object, error) {
	var (
		ingresses networkingv1.IngressList
		tcp       kongv1beta1.TCPIngressList
		udp       kongv1beta1.UDPIngressList
		out       []metav1.Object
	)
	err := errors.Join(l.list(l.config.Objects, &ingresses), served(l.list(l.config.Objects, &tcp)), served(l.list(l.config.Objects, &udp)))
	for _, o := range pointers(ingresses.Items) {
		out = append(out, o)
	}
	for _, o := range pointers(tcp.Items) {
		out = append(out, o)
	}
	for _, o := range pointers(udp.Items) {
		out = append(out, o)
	}
	return out, err
}

// Service implements admission.Lookup.
func (l *lookup) Service(namespace, name string) (*corev1.Service, error) {
	s := &corev1.Service{}
	err := l.get(l.config.Objects, types.NamespacedName{Namespace: namespace, Name: name}, s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return s, err
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
