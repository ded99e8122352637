// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// MeshMode is how the gateway takes part in the mesh.
//
// +kubebuilder:validation:Enum=Auto;Sidecar;Ambient;None
type MeshMode string

// Mesh modes.
const (
	// MeshAuto takes the mode that the cluster offers: Sidecar when Istio's injector would inject
	// the gateway's pods, else None.
	MeshAuto MeshMode = "Auto"
	// MeshSidecar runs the proxies with an injected Istio sidecar.
	MeshSidecar MeshMode = "Sidecar"
	// MeshAmbient runs the proxies in Istio's ambient mesh. Not acted on yet: see Unsupported.
	MeshAmbient MeshMode = "Ambient"
	// MeshNone keeps the proxies out of the mesh.
	MeshNone MeshMode = "None"
)

// Mesh is how the gateway takes part in the Istio mesh.
//
// +kubebuilder:validation:XValidation:rule="!has(self.revision) || self.mode != 'None'",message="revision has no meaning with mode None; remove revision or change the mode"
type Mesh struct {
	// mode is Auto (what the cluster offers: Sidecar if Istio would inject the pods, else None),
	// Sidecar, Ambient or None. Ambient is declared but not acted on yet: a gateway that sets it is
	// not accepted.
	// +optional
	// +kubebuilder:default=Auto
	Mode MeshMode `json:"mode,omitempty"`

	// revision is the Istio revision or tag that injects the pods. Default: the one that the
	// namespace's labels choose, else the default revision.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",message="must be the name of an Istio revision or tag, which is a label value"
	Revision string `json:"revision,omitempty"`

	// namespaceInjection is whether the operator labels the gateway's namespace for injection.
	// +optional
	// +kubebuilder:default={}
	NamespaceInjection NamespaceInjection `json:"namespaceInjection,omitzero"`

	// peerAuthentication is which mTLS the gateway's pods demand.
	// +optional
	// +kubebuilder:default={}
	PeerAuthentication PeerAuthentication `json:"peerAuthentication,omitzero"`

	// destinationRules is which DestinationRules the operator keeps.
	// +optional
	// +kubebuilder:default={}
	DestinationRules DestinationRules `json:"destinationRules,omitzero"`

	// egressScope is whether the operator keeps the Istio Sidecar object that tells the gateway's
	// sidecars which backends exist.
	// +optional
	// +kubebuilder:default={}
	EgressScope EgressScope `json:"egressScope,omitzero"`

	// upstreamHost is the Host header that backends see: Preserve (the client's, Kong's default) or
	// Service (the Service's own name; the client's goes into X-Forwarded-Host). A route's own
	// annotations win.
	// +optional
	// +kubebuilder:default=Preserve
	UpstreamHost UpstreamHost `json:"upstreamHost,omitempty"`

	// authorization is whether the operator keeps AuthorizationPolicies that let only this
	// gateway's identity reach its backends.
	// +optional
	// +kubebuilder:default={}
	Authorization Authorization `json:"authorization,omitzero"`
}

// NamespaceInjection is whether the operator labels the gateway's namespace for injection.
type NamespaceInjection struct {
	// mode is Unmanaged (only the pod template is labelled) or Managed (the namespace is labelled
	// as well).
	// +optional
	// +kubebuilder:default=Unmanaged
	Mode ManagementMode `json:"mode,omitempty"`
}

// PeerAuthenticationMode is which mTLS the gateway's pods demand on ports the sidecar captures.
//
// +kubebuilder:validation:Enum=Strict;Permissive;Unmanaged
type PeerAuthenticationMode string

// PeerAuthentication modes.
const (
	// PeerAuthenticationStrict demands mTLS on every port but the External ones.
	PeerAuthenticationStrict PeerAuthenticationMode = "Strict"
	// PeerAuthenticationPermissive accepts mTLS and plain text on captured ports.
	PeerAuthenticationPermissive PeerAuthenticationMode = "Permissive"
	// PeerAuthenticationUnmanaged leaves the object to the user.
	PeerAuthenticationUnmanaged PeerAuthenticationMode = "Unmanaged"
)

// PeerAuthentication is which mTLS the gateway's pods demand.
type PeerAuthentication struct {
	// mode is Strict (mTLS on every port but the External ones), Permissive (mTLS or plain text) or
	// Unmanaged (no PeerAuthentication is written; in-mesh callers of External ports then fail
	// unless you write one with portLevelMtls DISABLE).
	// +optional
	// +kubebuilder:default=Strict
	Mode PeerAuthenticationMode `json:"mode,omitempty"`
}

// DestinationRulesMode is which DestinationRules the operator keeps.
//
// +kubebuilder:validation:Enum=OwnService;Backends;Unmanaged
type DestinationRulesMode string

// DestinationRules modes.
const (
	// DestinationRulesOwnService keeps one rule, for the gateway's own Service.
	DestinationRulesOwnService DestinationRulesMode = "OwnService"
	// DestinationRulesBackends also keeps rules for meshed backends, where the user has none. Not
	// acted on yet: see Unsupported.
	DestinationRulesBackends DestinationRulesMode = "Backends"
	// DestinationRulesUnmanaged keeps none.
	DestinationRulesUnmanaged DestinationRulesMode = "Unmanaged"
)

// DestinationRules is which DestinationRules the operator keeps.
type DestinationRules struct {
	// mode is OwnService (one rule for the gateway's own Service), Backends (also what
	// KongUpstreamPolicy asks for on meshed backends, yielding to any rule of yours) or Unmanaged
	// (none). Backends is declared but not acted on yet: a gateway that sets it is not accepted.
	// +optional
	// +kubebuilder:default=OwnService
	Mode DestinationRulesMode `json:"mode,omitempty"`
}

// EgressScope is whether the operator keeps the Istio Sidecar object of the gateway's pods.
type EgressScope struct {
	// mode is Managed (a Sidecar object with exactly the routed backends, which is what makes the
	// client's own Host header work with mTLS) or Unmanaged (none).
	// +optional
	// +kubebuilder:default=Managed
	Mode ManagementMode `json:"mode,omitempty"`
}

// UpstreamHost is the Host header that backends see.
//
// +kubebuilder:validation:Enum=Preserve;Service
type UpstreamHost string

// Upstream hosts.
const (
	// UpstreamHostPreserve keeps the client's Host header.
	UpstreamHostPreserve UpstreamHost = "Preserve"
	// UpstreamHostService sends the Service's fully qualified name, the client's Host in
	// X-Forwarded-Host.
	UpstreamHostService UpstreamHost = "Service"
)

// AuthorizationMode is whether backends accept only this gateway's identity.
//
// +kubebuilder:validation:Enum=Unmanaged;DryRun;Enforce
type AuthorizationMode string

// Authorization modes.
const (
	// AuthorizationUnmanaged writes no AuthorizationPolicy. It is not called Off, which YAML reads
	// as a boolean.
	AuthorizationUnmanaged AuthorizationMode = "Unmanaged"
	// AuthorizationDryRun writes policies that only report. Not acted on yet: see Unsupported.
	AuthorizationDryRun AuthorizationMode = "DryRun"
	// AuthorizationEnforce writes policies that refuse. Not acted on yet: see Unsupported.
	AuthorizationEnforce AuthorizationMode = "Enforce"
)

// Authorization is whether backends accept only this gateway's identity.
type Authorization struct {
	// mode is Unmanaged (no AuthorizationPolicy), DryRun or Enforce (backends in namespaces that
	// opted in accept only this gateway's identity). DryRun and Enforce are declared but not acted
	// on yet: a gateway that sets them is not accepted.
	// +optional
	// +kubebuilder:default=Unmanaged
	Mode AuthorizationMode `json:"mode,omitempty"`
}
