// SPDX-License-Identifier: Apache-2.0

package condition

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

// Facts is what was observed about one gateway.
type Facts struct {
	// Generation is the generation of the spec that the facts are about.
	Generation int64
	Accepted   Acceptance
	Paused     bool
	Mesh       Mesh
	Address    Address
	Rollout    Rollout
	Fleet      Fleet
	// Pods are the gateway's running pods, those that are being deleted left out, sorted by name.
	Pods []Pod
}

// Acceptance is how the spec of this generation was judged.
type Acceptance struct {
	// Invalid are the rules that it breaks, Unsupported the members that this build does not act on.
	Invalid, Unsupported []v1alpha1.FieldProblem
	// ClassClaimed says who holds the ingress class, or is empty.
	ClassClaimed string
	// Serving is the generation of the last accepted spec, which stays in force; 0 when there is none.
	Serving int64
}

// Accepted reports whether nothing speaks against the spec.
func (a Acceptance) Accepted() bool {
	return len(a.Invalid) == 0 && len(a.Unsupported) == 0 && a.ClassClaimed == ""
}

// Mesh is how the gateway takes part in the mesh.
type Mesh struct {
	// Resolution is the mode in force and what stands against it.
	Resolution mesh.Resolution
	// MissingKinds are Istio's kinds that the API server does not have although they are needed.
	MissingKinds []string
	// PeerAuthentication and Sidecar name objects, as namespace/name, that win over the operator's; empty when none does.
	PeerAuthentication, Sidecar string
}

// Address is what the Service says.
type Address struct {
	ServiceType corev1.ServiceType
	Addresses   []v1alpha1.Address
	// Service names it as namespace/name.
	Service string
}

// Rollout is what became of the child objects.
type Rollout struct {
	// Refused are child objects that exist and are not ours, Failed those that the API server refused: whole sentences,
	// in rendering order.
	Refused, Failed []string
	// Contested are fields that another manager keeps changing back: whole sentences.
	Contested []string
	// Held says why nothing is written yet; empty when nothing is held.
	Held string
	// Deployment is nil before there is one.
	Deployment *Deployment
}

// Deployment is the state of the fleet's Deployment.
type Deployment struct {
	Name string
	// Observed says that its controller has seen its newest spec.
	Observed                         bool
	Desired, Current, Updated, Ready int32
	Available                        int32
	ProgressDeadline, ReplicaFailure string // messages of the Deployment's own conditions, when they say so
	OutdatedTemplate                 bool   // the rendered template has not been written
}

// Pod is one of the gateway's pods.
type Pod struct {
	Name  string
	Ready bool
	// Crash says why the proxy's container ended; empty while it runs.
	Crash string
	Mesh  mesh.PodState
}

// Fleet is what the configuration stream knows.
type Fleet struct {
	// Known is false while the control plane has not compiled the gateway's routes, or runs without a stream.
	Known bool
	// Connected and Programmed count proxies.
	Connected, Programmed int32
	// Rejected are entities that proxies refused, and Behind the ready proxies that are more than 10 seconds behind:
	// whole sentences and pod names, sorted.
	Rejected, Behind []string
	// TooLarge says why the snapshot does not fit its Secrets; empty when it does.
	TooLarge string
}
