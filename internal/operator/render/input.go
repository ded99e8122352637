// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

// Input is everything the renderers look at.
type Input struct {
	// Name, Namespace and UID are the gateway's.
	Name, Namespace string
	UID             types.UID
	// Generation is that of the accepted spec.
	Generation int64
	// Spec is the accepted spec with its defaults filled in.
	Spec v1alpha1.KongIstioGatewaySpec
	// Settings are those of the operator.
	Settings Settings
	// Mesh is how the gateway takes part in the mesh.
	Mesh mesh.Resolution
	// Served says which of Istio's kinds the API server has.
	Served IstioKinds
	// Egress is the egress scope of the routed backends.
	Egress mesh.EgressScope
	// OutboundTrafficPolicy is that of the namespace's own Sidecar object, which ours replaces for the gateway's pods;
	// nil when there is none.
	OutboundTrafficPolicy map[string]any
	// LivePorts are the container ports that running pods keep out of the sidecar: during a rollout, policies must
	// hold for the old pods as well.
	LivePorts []int32
	// CABundle is the PEM bundle that proxies trust for the control stream.
	CABundle string
	// AccountUID is the ServiceAccount's, when pods must be told apart by it: tokens of an account that was deleted are
	// refused although one of the same name exists. Empty as long as there was only one.
	AccountUID types.UID
	// ClassShared says that the IngressClass exists and was made by somebody else for our controller: only the claim is
	// written on it.
	ClassShared bool
}

// Settings are the operator's own, the same for all gateways.
type Settings struct {
	// ProxyImage is the image of gateways that name none.
	ProxyImage string
	// StreamHost is the DNS name of the headless Service of the manager; proxies connect to it on
	// v1alpha1.ConfigStreamPort.
	StreamHost string
	// ClusterDomain is the cluster's DNS domain, cluster.local by default.
	ClusterDomain string
}

// IstioKinds says which of Istio's kinds the API server has.
type IstioKinds struct {
	PeerAuthentication, DestinationRule, Sidecar bool
}

// Object is one rendered child.
type Object struct {
	*unstructured.Unstructured
	// Shared marks an object that is not ours: only the rendered fields are kept right.
	Shared bool
}

// Objects renders all children in the order in which they must be written: what pods need before them comes first, and
// the egress scope before the pods (a pooled connection keeps the listener it was opened on).
//
// Errors: a pod template overlay that cannot be merged.
func Objects(in Input) ([]Object, error) {
	var out []Object
	for _, r := range []struct {
		render func(Input) (*unstructured.Unstructured, error)
		shared bool
	}{
		{Revision, false},
		{Namespace, true},
		{ServiceAccount, false},
		{CABundle, false},
		{IngressClass, in.ClassShared},
		{PeerAuthentication, false},
		{DestinationRule, false},
		{Sidecar, false},
		{Service, false},
		{PodDisruptionBudget, false},
		{Deployment, false},
	} {
		o, err := r.render(in)
		if err != nil {
			return nil, err
		}
		if o != nil {
			out = append(out, Object{Unstructured: o, Shared: r.shared})
		}
	}
	return out, nil
}

func (in Input) meshed() bool { return in.Mesh.Mode == v1alpha1.MeshSidecar }

// SelectorLabels select all pods of a gateway.
func SelectorLabels(name string) map[string]string { return map[string]string{LabelGateway: name} }

// colourLabels select the pods of one fleet.
func (in Input) colourLabels(c Colour) map[string]string {
	l := SelectorLabels(in.Name)
	l[LabelColour] = string(c)
	return l
}

func (in Input) labels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":       ManagedBy,
		"app.kubernetes.io/instance":   in.Name,
		"app.kubernetes.io/component":  "proxy",
		"app.kubernetes.io/managed-by": ManagedBy,
		LabelGateway:                   in.Name,
		LabelGatewayUID:                string(in.UID),
	}
}

// meta is the metadata of a namespaced child that goes with the gateway.
func (in Input) meta(name string) metav1.ObjectMeta {
	yes := true
	return metav1.ObjectMeta{
		Name: name, Namespace: in.Namespace, Labels: in.labels(),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Name: in.Name, UID: in.UID,
			Controller: &yes, BlockOwnerDeletion: &yes,
		}},
	}
}

// DeploymentName is the name of the Deployment of one fleet.
func DeploymentName(gateway string, c Colour) string { return fmt.Sprintf("%s-%s", gateway, c) }

// CABundleName is the name of the ConfigMap that holds the CA bundle.
func CABundleName(gateway string) string { return gateway + "-ca-bundle" }

// SnapshotSecretName is the name of one shard of the snapshot for cold starts.
func SnapshotSecretName(gateway string, shard int) string {
	return fmt.Sprintf("%s-snapshot-%d", gateway, shard)
}

// istio builds one of Istio's objects.
func (in Input) istio(apiVersion, kind, name string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": spec}}
	meta := in.meta(name)
	u.SetName(meta.Name)
	u.SetNamespace(meta.Namespace)
	u.SetLabels(meta.Labels)
	u.SetOwnerReferences(meta.OwnerReferences)
	return u
}

func merged(sets ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, s := range sets {
		maps.Copy(out, s)
	}
	return out
}

func stringMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
