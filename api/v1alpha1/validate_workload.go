// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	strictjson "sigs.k8s.io/json"
)

// Keys of pod labels and annotations that only the operator sets, beside its own prefix.
var (
	ownLabels          = []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"}
	injectionLabels    = []string{"sidecar.istio.io/inject", "istio.io/rev", "istio.io/dataplane-mode"}
	sidecarAnnotations = []string{
		"sidecar.istio.io/inject", "traffic.sidecar.istio.io/includeInboundPorts",
		"traffic.sidecar.istio.io/excludeInboundPorts", "traffic.sidecar.istio.io/excludeOutboundPorts",
	}
)

func (v *validator) deployment(deployment *Deployment) {
	const field = "spec.deployment"
	v.check(deployment.Replicas == nil || deployment.Autoscaling == nil, field, msgReplicas)
	if deployment.Replicas != nil {
		v.between(*deployment.Replicas, 0, 10000, field+".replicas")
	}
	if scaling := deployment.Autoscaling; scaling != nil {
		v.between(scaling.MaxReplicas, 1, 10000, field+".autoscaling.maxReplicas")
		v.check(scaling.MinReplicas == nil || *scaling.MinReplicas <= scaling.MaxReplicas, field+".autoscaling", msgReplicasRange)
	}
	if deployment.Strategy != nil {
		v.strategy(deployment.Strategy, field)
	}
	v.budget(&deployment.PodDisruptionBudget, field+".podDisruptionBudget")
	v.check(deployment.Image == "" || imageForm.MatchString(deployment.Image), field+".image", msgImage)
	if deployment.PodTemplate != nil {
		v.podTemplate(deployment.PodTemplate, field+".podTemplate")
	}
}

func (v *validator) strategy(strategy *appsv1.DeploymentStrategy, field string) {
	known := []appsv1.DeploymentStrategyType{"", appsv1.RollingUpdateDeploymentStrategyType, appsv1.RecreateDeploymentStrategyType}
	v.check(slices.Contains(known, strategy.Type), field, msgStrategyType)
	rolling := strategy.RollingUpdate
	v.check(strategy.Type != appsv1.RecreateDeploymentStrategyType || rolling == nil, field, msgStrategyRecreate)
	stuck := rolling != nil && isZero(rolling.MaxSurge) && isZero(rolling.MaxUnavailable)
	v.check(!stuck, field, msgStrategyStuck)
}

func isZero(value *intstr.IntOrString) bool {
	return value != nil && (value.String() == "0" || value.String() == "0%")
}

func (v *validator) budget(budget *PodDisruptionBudget, field string) {
	oneOf(v, field+".mode", budget.Mode, Managed, Unmanaged)
	v.check(budget.MinAvailable == nil || budget.MaxUnavailable == nil, field, msgBudgetBoth)
	v.check(budget.Mode != Unmanaged || budget.MinAvailable == nil && budget.MaxUnavailable == nil, field, msgBudgetUnmanaged)
	v.check(isBudgetValue(budget.MinAvailable), field+".minAvailable", msgBudgetValue)
	v.check(isBudgetValue(budget.MaxUnavailable), field+".maxUnavailable", msgBudgetValue)
}

func (v *validator) podTemplate(overlay *PodTemplateOverlay, field string) {
	labels, annotations := overlay.Metadata.Labels, overlay.Metadata.Annotations
	v.check(!hasKey(labels, true, ownLabels), field+".metadata.labels", msgOverlayLabels)
	v.check(!hasKey(labels, false, injectionLabels), field+".metadata.labels", msgOverlayInjection)
	v.check(!hasKey(annotations, true, nil), field+".metadata.annotations", msgOwnAnnotations)
	v.check(!hasKey(annotations, false, sidecarAnnotations), field+".metadata.annotations", msgOverlaySidecar)
	if overlay.Spec == nil || len(overlay.Spec.Raw) == 0 {
		return
	}
	var members map[string]any
	if err := json.Unmarshal(overlay.Spec.Raw, &members); err != nil {
		v.check(false, field+".spec", "must be an object: a part of a Kubernetes PodSpec")
		return
	}
	v.podSpec(members, field+".spec")
}

// hasKey reports whether one of the keys is in forbidden or, when own is set, has our prefix.
func hasKey(values map[string]string, own bool, forbidden []string) bool {
	for key := range values {
		if own && strings.HasPrefix(key, GroupName+"/") || slices.Contains(forbidden, key) {
			return true
		}
	}
	return false
}

func (v *validator) podSpec(members map[string]any, field string) {
	v.check(!hasMember(members, "serviceAccountName", "serviceAccount"), field, msgOverlayAccount)
	v.check(!hasMember(members, "hostNetwork", "hostPID", "hostIPC"), field, msgOverlayHost)
	containers, _ := members["containers"].([]any)
	for _, element := range containers {
		container, _ := element.(map[string]any)
		own := container["name"] == ProxyContainerName
		v.check(!own || !hasMember(container, "command", "args"), field, msgOverlayCommand)
	}
	plain, err := json.Marshal(withoutDirectives(members))
	if err != nil {
		return // unreachable: members came out of JSON
	}
	unknown, err := strictjson.UnmarshalStrict(plain, &corev1.PodSpec{})
	if err := errors.Join(append(unknown, err)...); err != nil {
		cause := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "json: "), "\n", ", ")
		v.check(false, field, fmt.Sprintf("is no part of a Kubernetes PodSpec: %s; correct the member's name or value", cause))
	}
}

func hasMember(members map[string]any, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, has := members[name]
		return has
	})
}

// withoutDirectives returns value without the directives of a strategic merge patch, which are the
// members whose name begins with $.
func withoutDirectives(value any) any {
	switch value := value.(type) {
	case map[string]any:
		plain := make(map[string]any, len(value))
		for name, member := range value {
			if !strings.HasPrefix(name, "$") {
				plain[name] = withoutDirectives(member)
			}
		}
		return plain
	case []any:
		plain := make([]any, 0, len(value))
		for _, element := range value {
			plain = append(plain, withoutDirectives(element))
		}
		return plain
	default:
		return value
	}
}

func (v *validator) service(spec *KongIstioGatewaySpec) {
	const field = "spec.service"
	service := &spec.Service
	oneOf(v, field+".type", service.Type, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort, corev1.ServiceTypeClusterIP)
	balanced := service.Type == corev1.ServiceTypeLoadBalancer
	v.check(service.LoadBalancerClass == "" || balanced, field, msgBalancerClassType)
	v.check(len(service.LoadBalancerSourceRanges) == 0 || balanced, field, msgSourceRangesType)
	v.check(len(service.NodePorts) == 0 || service.Type != corev1.ServiceTypeClusterIP, field, msgNodePortsType)
	v.check(!hasKey(service.Annotations, true, nil), field+".annotations", msgOwnAnnotations)
	for i, cidr := range service.LoadBalancerSourceRanges {
		v.check(isCIDR(string(cidr)), fmt.Sprintf("%s.loadBalancerSourceRanges[%d]", field, i), msgCIDR)
	}
	oneOf(v, field+".externalTrafficPolicy", service.ExternalTrafficPolicy,
		corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceExternalTrafficPolicyCluster)
	v.nodePorts(spec, field+".nodePorts")
}

func (v *validator) nodePorts(spec *KongIstioGatewaySpec, field string) {
	used := map[int32]bool{}
	clash, stray := false, false
	for _, entry := range spec.Service.NodePorts {
		clash = clash || used[entry.NodePort]
		used[entry.NodePort] = true
		stray = stray || !slices.ContainsFunc(spec.Listeners, func(l Listener) bool { return l.Name == entry.Listener })
	}
	v.check(!clash, field, msgNodePortsUnique)
	v.check(!stray, "spec", msgNodePortsListener)
}
