// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ProxyContainerName is the name of the gateway's own container in its pods: the merge key for
// changes that spec.deployment.podTemplate makes to it.
const ProxyContainerName = "proxy"

// Deployment shapes the proxies' pods.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas and autoscaling exclude each other; remove replicas to let the autoscaler decide"
// +kubebuilder:validation:XValidation:rule="!has(self.strategy) || !has(self.strategy.type) || self.strategy.type in ['RollingUpdate', 'Recreate']",message="strategy.type must be RollingUpdate or Recreate"
// +kubebuilder:validation:XValidation:rule="!has(self.strategy) || !has(self.strategy.type) || self.strategy.type != 'Recreate' || !has(self.strategy.rollingUpdate)",message="strategy.rollingUpdate is only for strategy.type RollingUpdate; remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.strategy) || !has(self.strategy.rollingUpdate) || !has(self.strategy.rollingUpdate.maxSurge) || !has(self.strategy.rollingUpdate.maxUnavailable) || !(string(self.strategy.rollingUpdate.maxSurge) in ['0', '0%']) || !(string(self.strategy.rollingUpdate.maxUnavailable) in ['0', '0%'])",message="strategy.rollingUpdate: maxSurge and maxUnavailable may not both be 0, no pod could ever be replaced; raise one of them"
type Deployment struct {
	// replicas is the number of proxies. There is no default in the schema, so that an autoscaler
	// can own the number; without either one proxy runs. Excludes autoscaling. The scale
	// subresource (kubectl scale) writes this field.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaling lets an autoscaler choose the number of proxies. Declared but not acted on yet:
	// a gateway that sets it is not accepted.
	// +optional
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`

	// strategy is how the Deployment replaces pods. Default: RollingUpdate that starts a new pod
	// before it stops an old one (maxSurge 1, maxUnavailable 0).
	// +optional
	Strategy *appsv1.DeploymentStrategy `json:"strategy,omitempty"`

	// podDisruptionBudget bounds how many proxies a node drain may take away at once.
	// +optional
	// +kubebuilder:default={}
	PodDisruptionBudget PodDisruptionBudget `json:"podDisruptionBudget,omitzero"`

	// topologySpreadConstraints spread the proxies over nodes and zones. A constraint without a
	// labelSelector gets the gateway's own. Default: spread over zones and nodes where that is
	// possible (ScheduleAnyway).
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// resources are the requests and limits of the proxy container. Default: requests of 100m CPU
	// and 128Mi memory, no limits.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// image is the proxy's image. Default: the one that came with the operator.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^ \\\\t\\\\r\\\\n]+$')",message="must be an image reference without white space"
	Image string `json:"image,omitempty"`

	// podTemplate is merged over the pod template that the operator makes, as a strategic merge
	// patch: lists merge by their key, so containers named "proxy" change the gateway's own
	// container and others are added. It may not set the service account, host namespaces, or the
	// command of the gateway's own container.
	// +optional
	PodTemplate *PodTemplateOverlay `json:"podTemplate,omitempty"`
}

// AutoscalingMode is the kind of autoscaler.
//
// +kubebuilder:validation:Enum=HorizontalPodAutoscaler
type AutoscalingMode string

// AutoscalingHorizontalPodAutoscaler creates a HorizontalPodAutoscaler (autoscaling/v2).
const AutoscalingHorizontalPodAutoscaler AutoscalingMode = "HorizontalPodAutoscaler"

// Autoscaling lets an autoscaler choose the number of proxies.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas may not be above maxReplicas"
type Autoscaling struct {
	// mode is the kind of autoscaler.
	// +optional
	// +kubebuilder:default=HorizontalPodAutoscaler
	Mode AutoscalingMode `json:"mode,omitempty"`

	// minReplicas is the smallest number of proxies. Default 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the largest number of proxies.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// metrics are what the autoscaler looks at. Default: 80 percent of the requested CPU.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Metrics []autoscalingv2.MetricSpec `json:"metrics,omitempty"`

	// behavior bounds how fast the autoscaler goes up and down.
	// +optional
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`
}

// ManagementMode says whether the operator keeps an object.
//
// +kubebuilder:validation:Enum=Managed;Unmanaged
type ManagementMode string

// Management modes.
const (
	// Managed means that the operator creates the object, keeps it correct and deletes it.
	Managed ManagementMode = "Managed"
	// Unmanaged means that the operator neither creates nor changes it.
	Unmanaged ManagementMode = "Unmanaged"
)

// PodDisruptionBudget bounds voluntary disruptions of the proxies.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.minAvailable) && has(self.maxUnavailable))",message="minAvailable and maxUnavailable exclude each other; keep one"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Unmanaged' || !(has(self.minAvailable) || has(self.maxUnavailable))",message="minAvailable and maxUnavailable are only for mode Managed; remove them or set mode: Managed"
type PodDisruptionBudget struct {
	// mode is Managed (the operator keeps a PodDisruptionBudget) or Unmanaged (none).
	// +optional
	// +kubebuilder:default=Managed
	Mode ManagementMode `json:"mode,omitempty"`

	// minAvailable is the number or percentage of proxies that must stay. Excludes maxUnavailable.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a number from 0 up or a percentage from 0% to 100%"
	MinAvailable *intstr.IntOrString `json:"minAvailable,omitempty"`

	// maxUnavailable is the number or percentage of proxies that may go at once. Default 1, unless
	// minAvailable is set.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",message="must be a number from 0 up or a percentage from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// PodTemplateOverlay is merged over the pod template that the operator makes.
type PodTemplateOverlay struct {
	// metadata adds labels and annotations to the pods.
	// +optional
	Metadata PodTemplateMetadata `json:"metadata,omitzero"`

	// spec is any part of a Kubernetes PodSpec, as a strategic merge patch ($patch directives
	// included).
	// +optional
	Spec *PodSpecOverlay `json:"spec,omitempty"`
}

// PodTemplateMetadata adds labels and annotations to the pods.
type PodTemplateMetadata struct {
	// labels are added to the pods' labels. The operator's own keys and the labels that steer
	// Istio's injection cannot be set here.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('gateway.konghq.com/') && !(k in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by']))",message="labels gateway.konghq.com/* and app.kubernetes.io/name, instance and managed-by belong to the operator; use other keys"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['sidecar.istio.io/inject', 'istio.io/rev', 'istio.io/dataplane-mode']))",message="labels that steer Istio's injection are set by the operator; use spec.mesh.mode and spec.mesh.revision"
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the pods' annotations. The ones that steer the sidecar's inbound
	// and outbound ports are set by the operator and cannot be set here.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('gateway.konghq.com/'))",message="annotations gateway.konghq.com/* belong to the operator; use other keys"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['sidecar.istio.io/inject', 'traffic.sidecar.istio.io/includeInboundPorts', 'traffic.sidecar.istio.io/excludeInboundPorts', 'traffic.sidecar.istio.io/excludeOutboundPorts']))",message="annotations that steer the sidecar's ports are set by the operator; use exposure in spec.listeners"
	Annotations map[string]string `json:"annotations,omitempty"`
}
