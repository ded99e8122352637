// SPDX-License-Identifier: Apache-2.0

// Package render computes the child objects of a KongIstioGateway: one pure function per object, from an accepted spec
// and what was read about the cluster. Same input, same bytes.
package render

// Names and labels that the children carry.
const (
	// LabelGateway names the gateway; selectors use it.
	LabelGateway = "gateway.konghq.com/gateway"
	// LabelGatewayUID is the inventory label.
	LabelGatewayUID = "gateway.konghq.com/gateway-uid"
	// LabelColour tells the two fleets of a blue/green rollout apart. It is in every Deployment's selector from the
	// first day, because selectors are immutable.
	LabelColour = "gateway.konghq.com/colour"
	// AnnotationOwner on an IngressClass names, as namespace/name, the one gateway that serves it.
	AnnotationOwner = "gateway.konghq.com/gateway"
	// AnnotationAccountUID on the pod template is the UID of the ServiceAccount whose tokens the pods are to hold; set
	// once that account was made anew under running pods.
	AnnotationAccountUID = "gateway.konghq.com/service-account-uid"
	// AnnotationOwnerUID on an IngressClass is the UID of that gateway.
	AnnotationOwnerUID = "gateway.konghq.com/gateway-uid"

	// IngressController is spec.controller of the IngressClasses that gateways serve.
	IngressController = "gateway.konghq.com/kong-istio-gateway"

	// ManagedBy is the value of app.kubernetes.io/managed-by on everything the operator makes.
	ManagedBy = "kong-istio-gateway"

	// TokenAudience is the audience of the proxies' tokens.
	TokenAudience = "kong-istio-gateway"
	// CABundleKey is the key of the CA bundle in its ConfigMap.
	CABundleKey = "ca.crt"
	// SnapshotShards is how many Secrets <gateway>-snapshot-<n> hold the snapshot for cold starts.
	SnapshotShards = 8
	// SnapshotKey is the key of the data in each of those Secrets.
	SnapshotKey = "data"

	// User is the numeric user and group of the proxy. Never 1337, the sidecar's own: its traffic bypasses the mesh.
	User int64 = 65532
)

// Paths inside the proxy's container.
const (
	dirToken    = "/var/run/kong-istio-gateway/token"
	dirCA       = "/var/run/kong-istio-gateway/ca"
	dirSnapshot = "/var/run/kong-istio-gateway/snapshot"
	dirData     = "/var/lib/kong-istio-gateway"
)

// Colour is one of the two fleets of a gateway.
type Colour string

// The colours.
const (
	Blue  Colour = "blue"
	Green Colour = "green"
)
