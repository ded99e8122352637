// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"errors"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// cluster is a Lookup over plain lists.
type cluster struct {
	classes admission.Classes
	objects []metav1.Object
	// silent makes Secrets unknown.
	silent bool
}

// ourClass is a cluster with one class of ours, "kong".
func ourClass(objects ...metav1.Object) *cluster {
	return &cluster{classes: admission.Classes{Ours: []fragment.Settings{{Class: "kong", LocalRefused: true}}}, objects: objects}
}

func list[T metav1.Object](c *cluster) []T {
	var out []T
	for _, o := range c.objects {
		if o, ok := o.(T); ok {
			out = append(out, o)
		}
	}
	return out
}

func (c *cluster) Classes() (admission.Classes, error) { return c.classes, nil }
func (c *cluster) Consumers() ([]*kongv1.KongConsumer, error) {
	return list[*kongv1.KongConsumer](c), nil
}
func (c *cluster) ClusterPlugins() ([]*kongv1.KongClusterPlugin, error) {
	return list[*kongv1.KongClusterPlugin](c), nil
}
func (c *cluster) Vaults() ([]*kongv1alpha1.KongVault, error) {
	return list[*kongv1alpha1.KongVault](c), nil
}
func (c *cluster) ConsumerGroups() ([]*kongv1beta1.KongConsumerGroup, error) {
	return list[*kongv1beta1.KongConsumerGroup](c), nil
}

func (c *cluster) Plugins(namespace string) ([]*kongv1.KongPlugin, error) {
	var out []*kongv1.KongPlugin
	for _, p := range list[*kongv1.KongPlugin](c) {
		if p.Namespace == namespace {
			out = append(out, p)
		}
	}
	return out, nil
}

func (c *cluster) Routes() ([]metav1.Object, error) {
	var out []metav1.Object
	for _, o := range c.objects {
		switch o.(type) {
		case *netv1.Ingress, *kongv1beta1.TCPIngress, *kongv1beta1.UDPIngress:
			out = append(out, o)
		}
	}
	return out, nil
}

func (c *cluster) Service(namespace, name string) (*corev1.Service, error) {
	for _, s := range list[*corev1.Service](c) {
		if s.Namespace == namespace && s.Name == name {
			return s, nil
		}
	}
	return nil, nil
}

func (c *cluster) Secret(namespace, name string) (*corev1.Secret, error) {
	if c.silent {
		return nil, errors.New("the API server does not answer")
	}
	for _, s := range list[*corev1.Secret](c) {
		if s.Namespace == namespace && s.Name == name {
			return s, nil
		}
	}
	return nil, nil
}

func (c *cluster) SameCredential(key string) ([]types.NamespacedName, error) {
	var out []types.NamespacedName
	for _, s := range list[*corev1.Secret](c) {
		if admission.CredentialKey(s, schemas.All()) == key {
			out = append(out, types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
		}
	}
	return out, nil
}
