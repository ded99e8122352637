// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/apply"
	"github.com/kong/kong-istio-gateway/internal/operator/condition"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

// updateStatus computes the status and writes it if it changed; transitions of conditions become Events.
func (r *Reconciler) updateStatus(ctx context.Context, gw *v1alpha1.KongIstioGateway, o *observed, p plan, out outcome) error {
	before := r.currentStatus(gw)
	after := r.status(before, o, p, out)
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	live := gw.DeepCopy()
	live.Status = *before
	base := live.DeepCopy()
	live.Status = *after
	if err := r.Client.Status().Patch(ctx, live, client.MergeFrom(base)); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.seen.Store(gw.UID, statusSeen{version: live.ResourceVersion, status: *after})
	r.tellTransitions(gw, before.Conditions, after.Conditions)
	return nil
}

func (r *Reconciler) status(before *v1alpha1.KongIstioGatewayStatus, o *observed, p plan, out outcome) *v1alpha1.KongIstioGatewayStatus {
	facts := gatherFacts(o, p, out)
	s := before.DeepCopy()
	s.Conditions = condition.Set(before.Conditions, facts, metav1.NewTime(r.Clock.Now()).Rfc3339Copy())
	s.Selector = labels.SelectorFromSet(render.SelectorLabels(o.gateway.Name)).String()
	s.Addresses = facts.Address.Addresses
	s.Mesh = v1alpha1.MeshStatus{Mode: p.resolution.Mode, Revision: p.resolution.Revision}
	replicas, ready := int32(0), int32(0)
	if d := facts.Rollout.Deployment; d != nil {
		replicas, ready = d.Current, d.Ready
	}
	s.Replicas, s.ReadyReplicas = &replicas, &ready
	if o.routes.Synced {
		s.AttachedRoutes = new(o.routes.AttachedRoutes)
		s.Problems, s.ProblemCount = problems(slices.Concat(o.strict, o.routes.Problems), o.routes.MoreProblems)
	}
	if o.fleet.Known {
		s.Proxies = v1alpha1.ProxiesStatus{Connected: new(o.fleet.Connected), Programmed: new(o.fleet.Programmed)}
		s.Version = o.fleet.Version
	}
	return s
}

func problems(all []v1alpha1.Problem, more int) ([]v1alpha1.Problem, *int32) {
	count := int32(len(all) + more) //nolint:gosec // bounded by the number of objects in a cluster
	return append([]v1alpha1.Problem(nil), all[:min(len(all), v1alpha1.MaxStatusProblems)]...), &count
}

// gatherFacts turns what was read and done into what the conditions are computed from.
func gatherFacts(o *observed, p plan, out outcome) condition.Facts {
	gw := o.gateway
	f := condition.Facts{
		Generation: gw.Generation, Accepted: p.acceptance, Paused: gw.Spec.Paused,
		Mesh:    condition.Mesh{Resolution: p.resolution},
		Address: condition.Address{ServiceType: gw.Spec.Service.Type, Addresses: addresses(o.service), Service: gw.Namespace + "/" + gw.Name},
		Rollout: condition.Rollout{Refused: out.refused, Failed: out.failed, Held: cmp.Or(p.held, out.held), Deployment: deploymentFacts(o, p, out)},
		Fleet: condition.Fleet{
			Known: o.fleet.Known && o.routes.Synced, Connected: o.fleet.Connected, Programmed: o.fleet.Programmed,
			Rejected: o.fleet.Rejected, TooLarge: o.fleet.TooLarge,
		},
	}
	for _, c := range out.contested {
		f.Rollout.Contested = append(f.Rollout.Contested, fmt.Sprintf(
			"field %s of %s is changed back again and again by manager %q; it is left alone until %s: stop that manager from setting it, or set it through the gateway's spec",
			c.Path, c.Object, c.Manager, c.Until.UTC().Format("15:04:05Z")))
	}
	for i := range o.pods {
		pod := &o.pods[i]
		if pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			f.Pods = append(f.Pods, condition.Pod{Name: pod.Name, Ready: podReady(pod), Crash: crash(pod), Mesh: mesh.InspectPod(pod)})
			if podReady(pod) && slices.Contains(o.fleet.Behind, pod.Name) {
				f.Fleet.Behind = append(f.Fleet.Behind, "pod "+pod.Name)
			}
		}
	}
	for _, pod := range o.streamless {
		f.Fleet.Behind = append(f.Fleet.Behind, "pod "+pod+" has no configuration stream; its log says why the manager refuses it or is not reached")
	}
	if p.spec != nil && p.resolution.Mode == v1alpha1.MeshSidecar {
		meshFacts(&f.Mesh, o, p)
	}
	return f
}

func meshFacts(m *condition.Mesh, o *observed, p plan) {
	managesPeers := p.spec.Mesh.PeerAuthentication.Mode != v1alpha1.PeerAuthenticationUnmanaged
	managesScope := p.spec.Mesh.EgressScope.Mode == v1alpha1.Managed
	managesRules := p.spec.Mesh.DestinationRules.Mode != v1alpha1.DestinationRulesUnmanaged
	for _, need := range []struct {
		kind            string
		managed, served bool
	}{
		{"PeerAuthentication", managesPeers, o.served.PeerAuthentication},
		{"DestinationRule", managesRules, o.served.DestinationRule},
		{"Sidecar", managesScope, o.served.Sidecar},
	} {
		if need.managed && !need.served {
			m.MissingKinds = append(m.MissingKinds, need.kind)
		}
	}
	pod := podLabels(o, p)
	if managesPeers {
		m.PeerAuthentication = nameOf(mesh.ShadowedBy(o.peerAuthentications, ownUID(o.peerAuthentications, o.gateway.UID), pod))
	}
	if managesScope {
		m.Sidecar = nameOf(mesh.ConflictingSidecar(o.sidecars, ownUID(o.sidecars, o.gateway.UID), pod))
	}
}

// ownUID is the UID of the one object that carries the gateway's inventory label; empty before it exists.
func ownUID(objects []unstructured.Unstructured, gateway types.UID) types.UID {
	for i := range objects {
		if objects[i].GetLabels()[render.LabelGatewayUID] == string(gateway) {
			return objects[i].GetUID()
		}
	}
	return ""
}

func nameOf(o *unstructured.Unstructured) string {
	if o == nil {
		return ""
	}
	return o.GetNamespace() + "/" + o.GetName()
}

// podLabels are those of the rendered pod template, overlay included.
func podLabels(o *observed, p plan) map[string]string {
	for _, obj := range p.objects {
		if obj.GetKind() == "Deployment" {
			if l, ok, _ := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels"); ok {
				return l
			}
		}
	}
	return render.SelectorLabels(o.gateway.Name)
}

// deploymentFacts prefers the object that this pass wrote over the one in the cache, which may be older.
func deploymentFacts(o *observed, p plan, out outcome) *condition.Deployment {
	d := o.deployment
	if out.deployment != nil {
		written := &appsv1.Deployment{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(out.deployment.Object, written); err == nil {
			d = written
		}
	}
	if d == nil {
		return nil
	}
	f := &condition.Deployment{
		Name: d.Name, Observed: d.Status.ObservedGeneration >= d.Generation, Desired: 1,
		Current: d.Status.Replicas, Updated: d.Status.UpdatedReplicas, Ready: d.Status.ReadyReplicas, Available: d.Status.AvailableReplicas,
		OutdatedTemplate: o.gateway.Spec.Paused && outdated(d, p),
	}
	if d.Spec.Replicas != nil {
		f.Desired = *d.Spec.Replicas
	}
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && f.Observed:
			f.ProgressDeadline = c.Message
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			f.ReplicaFailure = c.Message
		}
	}
	return f
}

// outdated reports whether a paused gateway's Deployment differs from what would be written.
func outdated(live *appsv1.Deployment, p plan) bool {
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false
	}
	for _, obj := range p.objects {
		if obj.GetKind() != "Deployment" {
			continue
		}
		d, err := apply.Decide(&unstructured.Unstructured{Object: raw}, apply.Want{Rendered: obj.Unstructured, Gateway: types.UID(obj.GetLabels()[render.LabelGatewayUID])})
		return err == nil && d.Action == apply.ActionApply
	}
	return false
}

// addresses are those of the load balancer, or the cluster's own for a Service without one.
func addresses(s *corev1.Service) []v1alpha1.Address {
	if s == nil {
		return nil
	}
	var out []v1alpha1.Address
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		for _, ip := range s.Spec.ClusterIPs {
			out = append(out, address(ip))
		}
		return out
	}
	for _, in := range s.Status.LoadBalancer.Ingress {
		if in.IP != "" {
			out = append(out, address(in.IP))
		} else if in.Hostname != "" {
			out = append(out, address(in.Hostname))
		}
	}
	return out
}

func address(value string) v1alpha1.Address {
	if _, err := netip.ParseAddr(value); err == nil {
		return v1alpha1.Address{Type: v1alpha1.AddressTypeIPAddress, Value: value}
	}
	return v1alpha1.Address{Type: v1alpha1.AddressTypeHostname, Value: value}
}

func podReady(pod *corev1.Pod) bool {
	_, ready := readySince(pod)
	return ready
}

func readySince(pod *corev1.Pod) (time.Time, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time, c.Status == corev1.ConditionTrue
		}
	}
	return time.Time{}, false
}

// crash says why the proxy's container ended, when it is not running because it ended with a failure.
func crash(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name != v1alpha1.ProxyContainerName || c.State.Running != nil && c.Ready {
			continue
		}
		end := c.State.Terminated
		if end == nil {
			end = c.LastTerminationState.Terminated
		}
		if end == nil || end.ExitCode == 0 {
			continue
		}
		text := strings.TrimSpace(end.Message)
		if text == "" {
			text = end.Reason
		}
		if lines := strings.Split(text, "\n"); len(lines) > 1 {
			text = lines[len(lines)-1]
		}
		return fmt.Sprintf("exit code %d: %s", end.ExitCode, text)
	}
	return ""
}

// tellTransitions writes an Event for each condition that changed, a Warning when that is bad news.
func (r *Reconciler) tellTransitions(gw *v1alpha1.KongIstioGateway, before, after []metav1.Condition) {
	for _, c := range after {
		if !newsworthy(apimeta.FindStatusCondition(before, c.Type), c) {
			continue
		}
		kind := corev1.EventTypeNormal
		if c.Status == metav1.ConditionFalse && badNews(c) {
			kind = corev1.EventTypeWarning
		}
		r.event(gw, kind, c.Reason, c.Type, "%s is %s: %s", c.Type, c.Status, c.Message)
	}
}

// newsworthy leaves out what says nothing: Unknown, the absence of a pause, and a Ready that is as unready as before for
// a reason that another condition tells.
func newsworthy(was *metav1.Condition, c metav1.Condition) bool {
	switch {
	case c.Status == metav1.ConditionUnknown:
		return false
	case was == nil:
		return c.Reason != v1alpha1.ReasonNotPaused
	case c.Type == v1alpha1.ConditionReady:
		return was.Status != c.Status
	}
	return was.Status != c.Status || was.Reason != c.Reason
}

// badNews leaves out what every start and rollout goes through.
func badNews(c metav1.Condition) bool {
	switch c.Reason {
	case v1alpha1.ReasonNotPaused, v1alpha1.ReasonProgressing, v1alpha1.ReasonAddressPending, v1alpha1.ReasonNoProxies, v1alpha1.ReasonUnavailable,
		v1alpha1.ReasonSidecarNotReady:
		return false
	}
	return true
}
