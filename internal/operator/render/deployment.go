// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

// stopMargin is how many seconds a pod gets on top of its drain time before it is killed.
const stopMargin = 5

// Deployment renders the fleet of proxies.
//
// Errors: an overlay (spec.deployment.podTemplate) that cannot be merged.
func Deployment(in Input) (*unstructured.Unstructured, error) {
	template, err := podTemplate(in, Blue)
	if err != nil {
		return nil, err
	}
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: in.meta(DeploymentName(in.Name, Blue)),
		Spec: appsv1.DeploymentSpec{
			Replicas:                replicas(in.Spec.Deployment),
			Selector:                &metav1.LabelSelector{MatchLabels: in.colourLabels(Blue)},
			Strategy:                strategy(in.Spec.Deployment),
			ProgressDeadlineSeconds: new(in.Spec.Rollout.ProgressDeadlineSeconds),
			RevisionHistoryLimit:    new(int32(3)),
			Template:                template,
		},
	}
	d.Labels[LabelColour] = string(Blue)
	return convert(d)
}

// replicas is nil under autoscaling: the number is the autoscaler's field then.
func replicas(d v1alpha1.Deployment) *int32 {
	switch {
	case d.Autoscaling != nil:
		return nil
	case d.Replicas != nil:
		return d.Replicas
	default:
		return new(int32(1))
	}
}

func strategy(d v1alpha1.Deployment) appsv1.DeploymentStrategy {
	if d.Strategy != nil {
		return *d.Strategy
	}
	return appsv1.DeploymentStrategy{
		Type: appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge: new(intstr.FromInt32(1)), MaxUnavailable: new(intstr.FromInt32(0)),
		},
	}
}

func podTemplate(in Input, c Colour) (corev1.PodTemplateSpec, error) {
	t := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels: merged(in.labels(), in.colourLabels(c), in.Mesh.PodLabels, map[string]string{
				"app": in.Name, "service.istio.io/canonical-name": in.Name,
			}),
			Annotations: podAnnotations(in),
		},
		Spec: corev1.PodSpec{
			ServiceAccountName:            in.Name,
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(int64(*in.Spec.Drain.AcceptSeconds+in.Spec.Drain.TimeoutSeconds) + stopMargin),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(User), RunAsGroup: new(User), FSGroup: new(User),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers:                []corev1.Container{container(in)},
			Volumes:                   volumes(in),
			TopologySpreadConstraints: spread(in, c),
		},
	}
	return overlay(t, in.Spec.Deployment.PodTemplate)
}

// overlay merges the user's part over the template, lists by their merge keys.
func overlay(t corev1.PodTemplateSpec, o *v1alpha1.PodTemplateOverlay) (corev1.PodTemplateSpec, error) {
	if o == nil {
		return t, nil
	}
	original, err := json.Marshal(t)
	if err != nil {
		return t, fmt.Errorf("pod template: %w", err)
	}
	patch, err := json.Marshal(o)
	if err != nil {
		return t, fmt.Errorf("spec.deployment.podTemplate: %w", err)
	}
	result, err := strategicpatch.StrategicMergePatch(original, patch, corev1.PodTemplateSpec{})
	if err != nil {
		return t, fmt.Errorf("spec.deployment.podTemplate: cannot be merged: %w", err)
	}
	out := corev1.PodTemplateSpec{}
	if err := json.Unmarshal(result, &out); err != nil {
		return t, fmt.Errorf("spec.deployment.podTemplate: the result is no pod template: %w", err)
	}
	return out, nil
}

func spread(in Input, c Colour) []corev1.TopologySpreadConstraint {
	selector := &metav1.LabelSelector{MatchLabels: in.colourLabels(c)}
	if given := in.Spec.Deployment.TopologySpreadConstraints; len(given) > 0 {
		out := make([]corev1.TopologySpreadConstraint, len(given))
		for i, s := range given {
			if s.LabelSelector == nil {
				s.LabelSelector = selector
			}
			out[i] = s
		}
		return out
	}
	constraint := func(key string) corev1.TopologySpreadConstraint {
		return corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector,
		}
	}
	return []corev1.TopologySpreadConstraint{constraint(corev1.LabelTopologyZone), constraint(corev1.LabelHostname)}
}

func container(in Input) corev1.Container {
	image := in.Spec.Deployment.Image
	if image == "" {
		image = in.Settings.ProxyImage
	}
	c := corev1.Container{
		Name: v1alpha1.ProxyContainerName, Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
		Args: args(in), Env: environment(in), Ports: containerPorts(in.Spec.Listeners),
		Resources: resources(in.Spec.Deployment),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		StartupProbe:             probe("/status", 1, 60),
		LivenessProbe:            probe("/status", 10, 3),
		ReadinessProbe:           probe("/status/ready", 2, 2),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{
			{Name: "token", MountPath: dirToken, ReadOnly: true},
			{Name: "ca-bundle", MountPath: dirCA, ReadOnly: true},
			{Name: "snapshot", MountPath: dirSnapshot, ReadOnly: true},
			{Name: "data", MountPath: dirData},
		},
	}
	return c
}

func resources(d v1alpha1.Deployment) corev1.ResourceRequirements {
	if d.Resources != nil {
		return *d.Resources
	}
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
	}}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(v1alpha1.StatusPortName)}},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 2,
	}
}

func containerPorts(listeners []v1alpha1.Listener) []corev1.ContainerPort {
	ports := make([]corev1.ContainerPort, 0, len(listeners)+1)
	for _, l := range listeners {
		ports = append(ports, corev1.ContainerPort{Name: l.Name, ContainerPort: l.TargetPort(), Protocol: l.Transport()})
	}
	return append(ports, corev1.ContainerPort{
		Name: v1alpha1.StatusPortName, ContainerPort: v1alpha1.StatusPort, Protocol: corev1.ProtocolTCP,
	})
}

func podAnnotations(in Input) map[string]string {
	a := map[string]string{
		"kubectl.kubernetes.io/default-container": v1alpha1.ProxyContainerName,
		"prometheus.io/scrape":                    "true",
		"prometheus.io/path":                      "/metrics",
		"prometheus.io/port":                      fmt.Sprint(v1alpha1.StatusPort),
	}
	if in.AccountUID != "" {
		a[AnnotationAccountUID] = string(in.AccountUID)
	}
	if in.meshed() {
		a[mesh.AnnotationExcludeInboundPorts] = joinPorts(ExcludedPorts(in.Spec.Listeners))
		a[mesh.AnnotationExcludeOutboundPorts] = fmt.Sprint(v1alpha1.ConfigStreamPort)
		a[mesh.AnnotationRewriteProbers] = "false"
		a[mesh.AnnotationProxyConfig] = proxyConfig(in.Spec.Drain)
	}
	return a
}

// proxyConfig is the sidecar's own configuration: it starts before the proxy and outlives its drain, and it leaves
// response headers as the backend wrote them.
func proxyConfig(d v1alpha1.Drain) string {
	return fmt.Sprintf(`{"holdApplicationUntilProxyStarts":true,`+
		`"proxyHeaders":{"attemptCount":{"disabled":true},"envoyDebugHeaders":{"disabled":true},`+
		`"metadataExchangeHeaders":{"mode":"IN_MESH"},"server":{"disabled":true}},`+
		`"proxyMetadata":{"EXIT_ON_ZERO_ACTIVE_CONNECTIONS":"true"},"terminationDrainDuration":"%ds"}`,
		*d.AcceptSeconds+d.TimeoutSeconds)
}

func volumes(in Input) []corev1.Volume {
	shards := make([]corev1.VolumeProjection, SnapshotShards)
	for i := range shards {
		shards[i].Secret = &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: SnapshotSecretName(in.Name, i)},
			Items:                []corev1.KeyToPath{{Key: SnapshotKey, Path: fmt.Sprintf("shard-%d", i)}},
			Optional:             new(true),
		}
	}
	return []corev1.Volume{
		{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: new(int32(0o440)),
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: TokenAudience, ExpirationSeconds: new(int64(3600)), Path: "token",
			}}},
		}}},
		// A directory, not a subPath: only directories follow the ConfigMap when the CA rotates.
		{Name: "ca-bundle", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: CABundleName(in.Name)},
		}}},
		{Name: "snapshot", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: new(int32(0o440)), Sources: shards,
		}}},
		{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			SizeLimit: new(resource.MustParse("256Mi")),
		}}},
	}
}
