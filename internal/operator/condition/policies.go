// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

// accepted says whether the spec is valid and in force.
func accepted(f Facts) verdict {
	return first(f, []policy{
		specIsValid,     // what CEL refuses is refused here too, in case the CRD is older than the operator
		specIsSupported, // a declared member that nobody acts on would be ignored silently
		classIsFree,     // one class, one gateway
	}, yes(v1alpha1.ReasonAccepted, "the spec is valid and in force"))
}

func specIsValid(f Facts) (verdict, bool) {
	return refuse(v1alpha1.ReasonInvalid, f.Accepted, f.Accepted.Invalid)
}

func specIsSupported(f Facts) (verdict, bool) {
	return refuse(v1alpha1.ReasonUnsupportedField, f.Accepted, f.Accepted.Unsupported)
}

func refuse(reason string, a Acceptance, problems []v1alpha1.FieldProblem) (verdict, bool) {
	if len(problems) == 0 {
		return silent()
	}
	sentences := make([]string, len(problems))
	for i, p := range problems {
		sentences[i] = p.String()
	}
	return no(reason, some(sentences)+lastGood(a))
}

func classIsFree(f Facts) (verdict, bool) {
	if f.Accepted.ClassClaimed == "" {
		return silent()
	}
	return no(v1alpha1.ReasonClassClaimed, f.Accepted.ClassClaimed+lastGood(f.Accepted))
}

func lastGood(a Acceptance) string {
	if a.Serving == 0 {
		return "; nothing is created until this is put right"
	}
	return fmt.Sprintf("; the spec of generation %d stays in force", a.Serving)
}

// paused says whether child objects are frozen.
func paused(f Facts) verdict {
	if f.Paused {
		return yes(v1alpha1.ReasonPaused, "spec.paused is set: child objects are left as they are")
	}
	v, _ := no(v1alpha1.ReasonNotPaused, "spec.paused is not set")
	return v
}

// meshReady says whether the proxies take part in the mesh as the spec says.
func meshReady(f Facts) verdict {
	return first(f, []policy{
		nothingAccepted,
		noMeshWanted,            // mode None: only a stray sidecar is wrong
		injectionWorks,          // the admission webhooks would inject the pods
		kindsExist,              // Istio's CRDs are installed
		peerAuthenticationRules, // the oldest PeerAuthentication wins, it must be ours
		egressScopeRules,        // two Sidecar objects on one pod are undefined
		proxiesExist,
		proxiesAreInjected, // proof on the pods themselves
		sidecarsAreReady,
	}, yes(v1alpha1.ReasonMeshReady, "every proxy is a member of the mesh"))
}

func nothingAccepted(f Facts) (verdict, bool) {
	if !f.Accepted.Accepted() && f.Accepted.Serving == 0 {
		return unknown(v1alpha1.ReasonPending, "no spec has been accepted yet")
	}
	return silent()
}

func noMeshWanted(f Facts) (verdict, bool) {
	if f.Mesh.Resolution.Mode == v1alpha1.MeshSidecar {
		return silent()
	}
	for _, p := range f.Pods {
		if p.Mesh.Injected {
			return no(v1alpha1.ReasonSidecarUnexpected, fmt.Sprintf(
				"pod %s runs with a sidecar although the gateway is not in the mesh; it goes with the next rollout, or delete the pod", p.Name))
		}
	}
	if notice := f.Mesh.Resolution.Notice; notice != "" {
		return yes(v1alpha1.ReasonNotRequired, notice), true
	}
	return yes(v1alpha1.ReasonNotRequired, "there is no mesh to take part in"), true
}

func injectionWorks(f Facts) (verdict, bool) {
	if r := f.Mesh.Resolution; r.Reason != "" {
		return no(r.Reason, r.Message)
	}
	return silent()
}

func kindsExist(f Facts) (verdict, bool) {
	if len(f.Mesh.MissingKinds) == 0 {
		return silent()
	}
	return no(v1alpha1.ReasonIstioNotFound, fmt.Sprintf(
		"the API server does not know Istio's %s; install Istio's CRDs, or set spec.mesh.mode: None", strings.Join(f.Mesh.MissingKinds, ", ")))
}

func peerAuthenticationRules(f Facts) (verdict, bool) {
	if f.Mesh.PeerAuthentication == "" {
		return silent()
	}
	return no(v1alpha1.ReasonPeerAuthenticationShadowed, fmt.Sprintf(
		"PeerAuthentication %s selects the gateway's pods and is older than the operator's, so Istio uses it instead; "+
			"delete it, narrow its selector, or set spec.mesh.peerAuthentication.mode: Unmanaged", f.Mesh.PeerAuthentication))
}

func egressScopeRules(f Facts) (verdict, bool) {
	if f.Mesh.Sidecar == "" {
		return silent()
	}
	return no(v1alpha1.ReasonEgressScopeShadowed, fmt.Sprintf(
		"Sidecar %s selects the gateway's pods as well, and Istio does not merge two; "+
			"delete it, narrow its workloadSelector, or set spec.mesh.egressScope.mode: Unmanaged", f.Mesh.Sidecar))
}

func proxiesExist(f Facts) (verdict, bool) {
	if len(f.Pods) > 0 {
		return silent()
	}
	if d := f.Rollout.Deployment; d != nil && d.Desired == 0 {
		return unknown(v1alpha1.ReasonNoProxies, "the gateway is scaled to zero")
	}
	if d := f.Rollout.Deployment; d != nil && d.ReplicaFailure != "" {
		return no(v1alpha1.ReasonNoProxies, fmt.Sprintf("no proxy exists: Deployment %s cannot create pods: %s", d.Name, d.ReplicaFailure))
	}
	return no(v1alpha1.ReasonNoProxies, "no proxy exists yet")
}

func proxiesAreInjected(f Facts) (verdict, bool) {
	for _, p := range f.Pods {
		if !p.Mesh.Injected {
			return no(v1alpha1.ReasonSidecarMissing, fmt.Sprintf(
				"pod %s runs without a sidecar; check that istiod was reachable when it was created, then delete the pod", p.Name))
		}
	}
	return silent()
}

func sidecarsAreReady(f Facts) (verdict, bool) {
	for _, p := range f.Pods {
		if !p.Mesh.Ready {
			return no(v1alpha1.ReasonSidecarNotReady, fmt.Sprintf(
				"the sidecar of pod %s is not ready; see its container istio-proxy", p.Name))
		}
	}
	return silent()
}

// addressReady says whether clients have an address to reach the gateway at.
func addressReady(f Facts) verdict {
	return first(f, []policy{nothingAccepted, addressExists},
		yes(v1alpha1.ReasonAddressAssigned, "clients reach the gateway at the addresses in status.addresses"))
}

func addressExists(f Facts) (verdict, bool) {
	switch {
	case len(f.Address.Addresses) > 0:
		return silent()
	case f.Address.ServiceType == corev1.ServiceTypeLoadBalancer:
		return no(v1alpha1.ReasonAddressPending, fmt.Sprintf(
			"Service %s has no load balancer address yet; if it stays so, look at the Service's events", f.Address.Service))
	default:
		return no(v1alpha1.ReasonAddressPending, fmt.Sprintf("Service %s has no address yet", f.Address.Service))
	}
}

// rolledOut says whether all child objects are applied and every pod is of the newest template.
func rolledOut(f Facts) verdict {
	return first(f, []policy{
		nothingAccepted,
		nothingRefused,
		nothingFailed,
		nothingContested,
		nothingHeld,
		deploymentExists,
		podsCanBeCreated,
		proxiesRun,
		deadlineKept,
		deploymentComplete,
	}, yes(v1alpha1.ReasonRolledOut, "every pod is of the newest template and ready"))
}

func nothingRefused(f Facts) (verdict, bool) {
	if len(f.Rollout.Refused) == 0 {
		return silent()
	}
	return no(v1alpha1.ReasonApplyFailed, some(f.Rollout.Refused))
}

func nothingFailed(f Facts) (verdict, bool) {
	if len(f.Rollout.Failed) == 0 {
		return silent()
	}
	return no(v1alpha1.ReasonApplyFailed, some(f.Rollout.Failed))
}

func nothingContested(f Facts) (verdict, bool) {
	if len(f.Rollout.Contested) == 0 {
		return silent()
	}
	return no(v1alpha1.ReasonFieldContested, some(f.Rollout.Contested))
}

func nothingHeld(f Facts) (verdict, bool) {
	if f.Rollout.Held == "" {
		return silent()
	}
	return no(v1alpha1.ReasonProgressing, f.Rollout.Held)
}

func deploymentExists(f Facts) (verdict, bool) {
	switch {
	case f.Rollout.Deployment != nil:
		return silent()
	case f.Paused:
		return no(v1alpha1.ReasonProgressing, "the gateway was paused before its Deployment was created; unset spec.paused")
	}
	return no(v1alpha1.ReasonProgressing, "the Deployment does not exist yet")
}

func podsCanBeCreated(f Facts) (verdict, bool) {
	if d := f.Rollout.Deployment; d.ReplicaFailure != "" {
		return no(v1alpha1.ReasonReplicaFailure, fmt.Sprintf("Deployment %s cannot create pods: %s", d.Name, d.ReplicaFailure))
	}
	return silent()
}

func proxiesRun(f Facts) (verdict, bool) {
	for _, p := range f.Pods {
		if p.Crash != "" && !p.Ready {
			return no(v1alpha1.ReasonProxyCrashing, fmt.Sprintf("the proxy of pod %s ended with %s", p.Name, p.Crash))
		}
	}
	return silent()
}

func deadlineKept(f Facts) (verdict, bool) {
	if d := f.Rollout.Deployment; d.ProgressDeadline != "" {
		return no(v1alpha1.ReasonProgressDeadlineExceeded, fmt.Sprintf(
			"Deployment %s makes no progress: %s; look at its pods", d.Name, d.ProgressDeadline))
	}
	return silent()
}

func deploymentComplete(f Facts) (verdict, bool) {
	d := f.Rollout.Deployment
	switch {
	case d.OutdatedTemplate:
		return no(v1alpha1.ReasonProgressing, fmt.Sprintf("Deployment %s is not of the newest spec: the gateway is paused", d.Name))
	case !d.Observed:
		return no(v1alpha1.ReasonProgressing, fmt.Sprintf("Deployment %s was just written", d.Name))
	case d.Updated < d.Desired:
		return no(v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d pods are of the newest template", d.Updated, d.Desired))
	case d.Current > d.Updated:
		return no(v1alpha1.ReasonProgressing, fmt.Sprintf("%d pods of an older template are still there", d.Current-d.Updated))
	case d.Available < d.Desired:
		return no(v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d pods are available", d.Available, d.Desired))
	}
	return silent()
}

// programmed says whether the proxies acknowledged the configuration.
func programmed(f Facts) verdict {
	return first(f, []policy{
		nothingAccepted,
		nothingRejected,
		nobodyBehind,
		snapshotFits,
		fleetKnown,
		fleetConnected,
	}, yes(v1alpha1.ReasonProgrammed, "every ready proxy acknowledged the configuration"))
}

func nothingRejected(f Facts) (verdict, bool) {
	if len(f.Fleet.Rejected) == 0 {
		return silent()
	}
	return no(v1alpha1.ReasonRejected, some(f.Fleet.Rejected))
}

func nobodyBehind(f Facts) (verdict, bool) {
	if len(f.Fleet.Behind) == 0 {
		return silent()
	}
	return no(v1alpha1.ReasonProxyBehind, "more than 10 seconds behind: "+some(f.Fleet.Behind))
}

func snapshotFits(f Facts) (verdict, bool) {
	if f.Fleet.TooLarge == "" {
		return silent()
	}
	return no(v1alpha1.ReasonSnapshotTooLarge, f.Fleet.TooLarge)
}

func fleetKnown(f Facts) (verdict, bool) {
	if f.Fleet.Known {
		return silent()
	}
	return unknown(v1alpha1.ReasonPending, "the control plane has not compiled the routes yet")
}

// fleetConnected keeps Programmed at Unknown, not False, while proxies start or the manager restarts: traffic goes on.
func fleetConnected(f Facts) (verdict, bool) {
	if f.Fleet.Programmed > 0 {
		return silent()
	}
	return unknown(v1alpha1.ReasonPending, "no proxy has acknowledged the configuration yet")
}

// available says whether at least one ready proxy serves.
func available(f Facts) verdict {
	for _, p := range f.Pods {
		if p.Ready {
			return yes(v1alpha1.ReasonAvailable, "at least one proxy is ready")
		}
	}
	v, _ := no(v1alpha1.ReasonUnavailable, "no proxy is ready")
	return v
}
