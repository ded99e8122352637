// SPDX-License-Identifier: Apache-2.0

package stream

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
)

// snapshotSecret returns one shard's Secret. It goes with its gateway: the
// owner reference is all that ties it, so that it is not taken for one of the
// objects that the operator renders.
func snapshotSecret(key types.NamespacedName, uid types.UID, i int, data []byte) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(shard.SecretName(key.Name, i), key.Namespace).
		WithLabels(map[string]string{"app.kubernetes.io/managed-by": "kong-istio-gateway"}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("KongIstioGateway").
			WithName(key.Name).WithUID(uid).WithController(true)).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{shard.SecretKey: data})
}
