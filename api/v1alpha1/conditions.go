// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a KongIstioGateway. All are always present, in the order of ConditionTypes,
// and each carries the generation it was computed from.
const (
	// ConditionAccepted is True when the spec is valid and in force. When False, the last accepted
	// spec stays in force.
	ConditionAccepted = "Accepted"
	// ConditionPaused is True while spec.paused freezes the child objects.
	ConditionPaused = "Paused"
	// ConditionMeshReady is True when the proxies take part in the mesh as the spec says, or when
	// there is no mesh to take part in.
	ConditionMeshReady = "MeshReady"
	// ConditionAddressReady is True when clients have an address to reach the gateway at.
	ConditionAddressReady = "AddressReady"
	// ConditionRolledOut is True when all child objects are applied and every pod is of the newest
	// template.
	ConditionRolledOut = "RolledOut"
	// ConditionProgrammed is True while the proxies acknowledge the configuration. It turns False
	// on a rejection, or when a ready proxy is more than 10 seconds behind.
	ConditionProgrammed = "Programmed"
	// ConditionAvailable is True when at least one ready proxy serves the last accepted spec.
	ConditionAvailable = "Available"
	// ConditionReady is True when Accepted, MeshReady, AddressReady, RolledOut and Programmed are
	// True at the current generation. When it is not, its reason is that of the first that fails.
	ConditionReady = "Ready"
)

// ConditionTypes returns all condition types in the order in which status.conditions holds them.
func ConditionTypes() []string {
	return []string{
		ConditionAccepted, ConditionPaused, ConditionMeshReady, ConditionAddressReady,
		ConditionRolledOut, ConditionProgrammed, ConditionAvailable, ConditionReady,
	}
}

// ReasonPending is the reason of every condition, with status Unknown, that was not computed yet.
const ReasonPending = "Pending"

// Reasons of condition Accepted.
const (
	// ReasonAccepted (True): the spec is valid and in force.
	ReasonAccepted = "Accepted"
	// ReasonInvalid (False): the spec breaks a rule; see Validate.
	ReasonInvalid = "Invalid"
	// ReasonUnsupportedField (False): the spec uses a member that this build declares but does not
	// act on; see Unsupported.
	ReasonUnsupportedField = "UnsupportedField"
	// ReasonClassClaimed (False): another gateway owns the ingress class, or the IngressClass names
	// another controller.
	ReasonClassClaimed = "ClassClaimed"
)

// Reasons of condition Paused.
const (
	// ReasonPaused (True): spec.paused is set.
	ReasonPaused = "Paused"
	// ReasonNotPaused (False): spec.paused is not set.
	ReasonNotPaused = "NotPaused"
)

// Reasons of condition MeshReady.
const (
	// ReasonMeshReady (True): every proxy is a member of the mesh as the spec says.
	ReasonMeshReady = "MeshReady"
	// ReasonNotRequired (True): there is no mesh to take part in.
	ReasonNotRequired = "NotRequired"
	// ReasonIstioNotFound (False): mesh.mode is Sidecar, but no injector or no Istio CRDs exist.
	ReasonIstioNotFound = "IstioNotFound"
	// ReasonRevisionNotFound (False): no injector serves mesh.revision.
	ReasonRevisionNotFound = "RevisionNotFound"
	// ReasonInjectionBlockedByNamespace (False): a label of the namespace forbids injection.
	ReasonInjectionBlockedByNamespace = "InjectionBlockedByNamespace"
	// ReasonInjectionAmbiguous (False): more than one revision would inject the pods.
	ReasonInjectionAmbiguous = "InjectionAmbiguous"
	// ReasonSidecarMissing (False): a pod runs without the sidecar that it should have.
	ReasonSidecarMissing = "SidecarMissing"
	// ReasonSidecarUnexpected (False): a pod runs with a sidecar that it should not have.
	ReasonSidecarUnexpected = "SidecarUnexpected"
	// ReasonSidecarNotReady (False): a pod's sidecar is not ready.
	ReasonSidecarNotReady = "SidecarNotReady"
	// ReasonPeerAuthenticationShadowed (False): an older PeerAuthentication selects the gateway's
	// pods and wins over the operator's.
	ReasonPeerAuthenticationShadowed = "PeerAuthenticationShadowed"
	// ReasonEgressScopeShadowed (False): another Sidecar object selects the gateway's pods.
	ReasonEgressScopeShadowed = "EgressScopeShadowed"
	// ReasonNoProxies (False or Unknown): no proxy exists whose membership could be seen.
	ReasonNoProxies = "NoProxies"
)

// Reasons of condition AddressReady.
const (
	// ReasonAddressAssigned (True): status.addresses is not empty.
	ReasonAddressAssigned = "AddressAssigned"
	// ReasonAddressPending (False): the load balancer has not assigned an address.
	ReasonAddressPending = "AddressPending"
)

// Reasons of condition RolledOut.
const (
	// ReasonRolledOut (True): every pod is of the newest template.
	ReasonRolledOut = "RolledOut"
	// ReasonProgressing (False): pods are being replaced or started.
	ReasonProgressing = "Progressing"
	// ReasonProgressDeadlineExceeded (False): the rollout made no progress for
	// rollout.progressDeadlineSeconds.
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	// ReasonReplicaFailure (False): pods cannot be created.
	ReasonReplicaFailure = "ReplicaFailure"
	// ReasonProxyCrashing (False): a proxy ends with a failure instead of serving.
	ReasonProxyCrashing = "ProxyCrashing"
	// ReasonApplyFailed (False): the API server refused a child object.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonFieldContested (False): another manager keeps changing a field that the operator owns.
	ReasonFieldContested = "FieldContested"
)

// Reasons of condition Programmed.
const (
	// ReasonProgrammed (True): every ready proxy acknowledged the configuration.
	ReasonProgrammed = "Programmed"
	// ReasonRejected (False): a proxy rejected an entity.
	ReasonRejected = "Rejected"
	// ReasonProxyBehind (False): a ready proxy is more than 10 seconds behind.
	ReasonProxyBehind = "ProxyBehind"
	// ReasonSnapshotTooLarge (False): the configuration does not fit the snapshot Secrets.
	ReasonSnapshotTooLarge = "SnapshotTooLarge"
)

// Reasons of condition Available.
const (
	// ReasonAvailable (True): at least one ready proxy serves the last accepted spec.
	ReasonAvailable = "Available"
	// ReasonUnavailable (False): none does.
	ReasonUnavailable = "Unavailable"
)

// ReasonReady is the reason of condition Ready with status True.
const ReasonReady = "Ready"
