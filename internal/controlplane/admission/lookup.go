// SPDX-License-Identifier: Apache-2.0

package admission

import (
	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// Classes are the cluster's ingress classes, as far as they matter here.
type Classes struct {
	// Ours are the classes that our gateways serve, by name.
	Ours []fragment.Settings
	// Shared is true when Kong's own ingress controller has a class in this
	// cluster as well. Objects without a class are then only judged when an
	// object of one of our classes uses them.
	Shared bool
}

// Lookup answers what the cluster holds. Lists are of all namespaces and in no
// order; answers are shared and must not be changed. An error means that the
// answer is not known at present.
type Lookup interface {
	Classes() (Classes, error)
	// Secret returns a Secret with its data, nil when it does not exist.
	Secret(namespace, name string) (*corev1.Secret, error)
	Consumers() ([]*kongv1.KongConsumer, error)
	ConsumerGroups() ([]*kongv1beta1.KongConsumerGroup, error)
	// Plugins returns the KongPlugins of a namespace.
	Plugins(namespace string) ([]*kongv1.KongPlugin, error)
	ClusterPlugins() ([]*kongv1.KongClusterPlugin, error)
	Vaults() ([]*kongv1alpha1.KongVault, error)
	// SameCredential returns the credential Secrets with this CredentialKey.
	SameCredential(key string) ([]types.NamespacedName, error)
	// Routes returns the Ingresses, TCPIngresses and UDPIngresses.
	Routes() ([]metav1.Object, error)
	// Service returns a Service, nil when it does not exist.
	Service(namespace, name string) (*corev1.Service, error)
}
