// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

// base is a meshed gateway with two backends and nothing but defaults in its spec.
func base() Input {
	in := Input{
		Name: "edge", Namespace: "kong-istio", UID: "11111111-2222-3333-4444-555555555555", Generation: 3,
		Settings: Settings{ProxyImage: "kong/kong-istio-gateway-proxy:dev", StreamHost: "kong-istio-gateway-stream.kong-istio-system.svc"},
		Mesh:     mesh.Resolution{Mode: v1alpha1.MeshSidecar, Revision: "default", PodLabels: mesh.PodLabels(v1alpha1.MeshSidecar, "")},
		Served:   IstioKinds{PeerAuthentication: true, DestinationRule: true, Sidecar: true},
		CABundle: "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n",
		Egress: mesh.Scope([]mesh.Backend{
			{Namespace: "echo", Service: "http-echo", ClusterIPs: []string{"10.96.1.1"}, Port: 8080},
			{Namespace: "echo", Service: "http-echo-2", ClusterIPs: []string{"10.96.1.2"}, Port: 8080},
			{Namespace: "shop", Service: "web", ClusterIPs: []string{"10.96.1.3"}, Port: 80},
		}, types.NamespacedName{Namespace: "istio-system", Name: "istiod"}, ""),
	}
	v1alpha1.SetDefaults(&in.Spec)
	return in
}

// cases change one thing each; kinds are those that the change shows in.
var cases = []struct {
	name   string
	kinds  []string
	change func(*Input)
}{
	{"default", nil, func(*Input) {}},
	{"mesh-none", []string{"Deployment", "PeerAuthentication", "DestinationRule", "Sidecar"}, func(in *Input) {
		in.Spec.Mesh.Mode = v1alpha1.MeshNone
		in.Mesh = mesh.Resolution{Mode: v1alpha1.MeshNone, PodLabels: mesh.PodLabels(v1alpha1.MeshNone, "")}
	}},
	{"mesh-port", []string{"Deployment", "Service", "PeerAuthentication", "DestinationRule"}, func(in *Input) {
		in.Spec.Listeners = append(in.Spec.Listeners,
			v1alpha1.Listener{Name: "internal", Port: 8080, Protocol: v1alpha1.ProtocolHTTP, Exposure: v1alpha1.ExposureMesh},
			v1alpha1.Listener{Name: "internal-tls", Port: 8444, Protocol: v1alpha1.ProtocolHTTPS, Exposure: v1alpha1.ExposureMesh},
			v1alpha1.Listener{Name: "internal-tcp", Port: 5432, Protocol: v1alpha1.ProtocolTCP, Exposure: v1alpha1.ExposureMesh})
	}},
	{"mesh-port-without-mesh", []string{"Deployment"}, func(in *Input) {
		in.Spec.Mesh.Mode = v1alpha1.MeshNone
		in.Mesh = mesh.Resolution{Mode: v1alpha1.MeshNone, PodLabels: mesh.PodLabels(v1alpha1.MeshNone, "")}
		in.Spec.Listeners = append(in.Spec.Listeners, v1alpha1.Listener{Name: "internal", Port: 8080, Protocol: v1alpha1.ProtocolHTTP, Exposure: v1alpha1.ExposureMesh})
	}},
	{"mesh-port-only", []string{"DestinationRule", "PeerAuthentication"}, func(in *Input) {
		in.Spec.Listeners = []v1alpha1.Listener{{Name: "internal", Port: 8080, Protocol: v1alpha1.ProtocolHTTP, Exposure: v1alpha1.ExposureMesh}}
	}},
	{"account-made-anew", []string{"Deployment"}, func(in *Input) { in.AccountUID = "99999999-2222-3333-4444-555555555555" }},
	{"old-ports", []string{"PeerAuthentication"}, func(in *Input) {
		in.Spec.Listeners[0].ContainerPort, in.LivePorts = 8081, []int32{8000, 8007, 8443}
	}},
	{"permissive", []string{"PeerAuthentication"}, func(in *Input) {
		in.Spec.Mesh.PeerAuthentication.Mode = v1alpha1.PeerAuthenticationPermissive
	}},
	{"unmanaged", []string{"PeerAuthentication", "DestinationRule", "Sidecar", "PodDisruptionBudget"}, func(in *Input) {
		in.Spec.Mesh.PeerAuthentication.Mode = v1alpha1.PeerAuthenticationUnmanaged
		in.Spec.Mesh.DestinationRules.Mode = v1alpha1.DestinationRulesUnmanaged
		in.Spec.Mesh.EgressScope.Mode = v1alpha1.Unmanaged
		in.Spec.Deployment.PodDisruptionBudget.Mode = v1alpha1.Unmanaged
	}},
	{"istio-kinds-missing", []string{"PeerAuthentication", "DestinationRule", "Sidecar"}, func(in *Input) { in.Served = IstioKinds{} }},
	{"revision", []string{"Deployment", "Namespace"}, func(in *Input) {
		in.Spec.Mesh.Revision, in.Spec.Mesh.NamespaceInjection.Mode = "canary", v1alpha1.Managed
		in.Mesh.PodLabels = mesh.PodLabels(v1alpha1.MeshSidecar, "canary")
	}},
	{"namespace-injection", []string{"Namespace"}, func(in *Input) { in.Spec.Mesh.NamespaceInjection.Mode = v1alpha1.Managed }},
	{"no-backends", []string{"Sidecar"}, func(in *Input) { in.Egress = mesh.Scope(nil, types.NamespacedName{}, "") }},
	{"outbound-policy", []string{"Sidecar"}, func(in *Input) { in.OutboundTrafficPolicy = map[string]any{"mode": "REGISTRY_ONLY"} }},
	{"class-shared", []string{"IngressClass"}, func(in *Input) { in.ClassShared = true }},
	{"scale-and-strategy", []string{"Deployment", "PodDisruptionBudget"}, func(in *Input) {
		in.Spec.Deployment.Replicas = new(int32(3))
		in.Spec.Deployment.Strategy = &appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		in.Spec.Deployment.PodDisruptionBudget.MinAvailable = new(intstr.FromString("50%"))
		in.Spec.Deployment.Image = "registry.example/proxy:1.2.3"
		in.Spec.Deployment.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
			{MaxSkew: 2, TopologyKey: "rack", WhenUnsatisfiable: corev1.DoNotSchedule},
		}
		in.Spec.Rollout.ProgressDeadlineSeconds = 120
		in.Spec.Drain.AcceptSeconds, in.Spec.Drain.TimeoutSeconds = new(int32(0)), 5
	}},
	{"autoscaling", []string{"Deployment"}, func(in *Input) {
		in.Spec.Deployment.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 9, Metrics: []autoscalingv2.MetricSpec{}}
	}},
	{"overlay", []string{"Deployment"}, func(in *Input) {
		in.Spec.Deployment.PodTemplate = &v1alpha1.PodTemplateOverlay{
			Metadata: v1alpha1.PodTemplateMetadata{Labels: map[string]string{"team": "edge"}, Annotations: map[string]string{"example.com/a": "b"}},
			Spec:     &v1alpha1.PodSpecOverlay{},
		}
		in.Spec.Deployment.PodTemplate.Spec.Raw = []byte(`{
			"priorityClassName": "high",
			"tolerations": [{"key": "edge", "operator": "Exists"}],
			"containers": [
				{"name": "proxy", "env": [{"name": "EXTRA", "value": "1"}, {"name": "KONG_REAL_IP_HEADER", "value": "X-Forwarded-For"}], "volumeMounts": [{"name": "extra", "mountPath": "/extra"}]},
				{"name": "helper", "image": "helper:1"}],
			"volumes": [{"name": "extra", "emptyDir": {}}]}`)
	}},
	{"service", []string{"Service"}, func(in *Input) {
		in.Spec.Service = v1alpha1.Service{
			Type: corev1.ServiceTypeLoadBalancer, Annotations: map[string]string{"example.com/lb": "fast"},
			LoadBalancerClass: "example.com/internal", LoadBalancerSourceRanges: []v1alpha1.CIDR{"192.0.2.0/24", "2001:db8::/32"},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster, IPFamilyPolicy: corev1.IPFamilyPolicySingleStack,
			NodePorts: []v1alpha1.NodePort{{Listener: "https", NodePort: 30443}},
		}
	}},
	{"cluster-ip", []string{"Service"}, func(in *Input) { in.Spec.Service.Type = corev1.ServiceTypeClusterIP }},
	{"dual-stack", []string{"Deployment", "Service"}, func(in *Input) { in.Spec.Service.IPFamilyPolicy = corev1.IPFamilyPolicyPreferDualStack }},
	{"stream-listeners", []string{"Deployment", "Service", "PeerAuthentication", "DestinationRule"}, func(in *Input) {
		in.Spec.Listeners = []v1alpha1.Listener{
			{Name: "db", Port: 5432, Protocol: v1alpha1.ProtocolTCP, Exposure: v1alpha1.ExposureExternal},
			{Name: "mqtts", Port: 8883, Protocol: v1alpha1.ProtocolTLS, Exposure: v1alpha1.ExposureExternal},
			{Name: "dns", Port: 53, ContainerPort: 5353, Protocol: v1alpha1.ProtocolUDP, Exposure: v1alpha1.ExposureExternal},
			{Name: "dns-tcp", Port: 53, ContainerPort: 5353, Protocol: v1alpha1.ProtocolTCP, Exposure: v1alpha1.ExposureMesh},
		}
	}},
	{"proxy-protocol", []string{"Deployment"}, func(in *Input) {
		in.Spec.Proxy.RealIPHeader = v1alpha1.RealIPProxyProtocol
		in.Spec.Listeners = append(in.Spec.Listeners,
			v1alpha1.Listener{Name: "mesh", Port: 8080, Protocol: v1alpha1.ProtocolHTTP, Exposure: v1alpha1.ExposureMesh},
			v1alpha1.Listener{Name: "db", Port: 5432, Protocol: v1alpha1.ProtocolTCP, Exposure: v1alpha1.ExposureExternal},
			v1alpha1.Listener{Name: "dns", Port: 53, ContainerPort: 5353, Protocol: v1alpha1.ProtocolUDP, Exposure: v1alpha1.ExposureExternal})
	}},
	{"proxy-settings", []string{"Deployment"}, func(in *Input) {
		in.Spec.Proxy = v1alpha1.Proxy{
			TrustedIPs: []v1alpha1.AddressRange{"10.0.0.0/8", "192.0.2.7"}, RealIPHeader: "X-Forwarded-For", RealIPRecursive: true,
			Headers: []v1alpha1.ResponseHeader{v1alpha1.ResponseHeaderNone}, ClientMaxBodySize: "10m", ClientBodyBufferSize: "16k",
			LargeClientHeaderBuffers: v1alpha1.HeaderBuffers{Number: 8, Size: "16k"},
			Compatibility:            v1alpha1.Compatibility{Mode: v1alpha1.CompatibilityKong314},
		}
		in.Spec.Observability.AccessLog.Mode = v1alpha1.AccessLogDisabled
	}},
}

func TestGolden(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := base()
			c.change(&in)
			got := text(t, in, c.kinds)
			golden := filepath.Join("testdata", c.name+".yaml")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s changed (UPDATE_GOLDEN=1 accepts it):\n%s", golden, got)
			}
		})
	}
}

// text writes the objects of the given kinds (all when none is given) in rendering order.
func text(t *testing.T, in Input, kinds []string) []byte {
	t.Helper()
	objects, err := Objects(in)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, o := range objects {
		if len(kinds) > 0 && !slices.Contains(kinds, o.GetKind()) {
			continue
		}
		y, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n")
		b.Write(y)
	}
	return b.Bytes()
}

// TestSameBytes renders everything many times: maps are walked in random order, the bytes must not show it.
func TestSameBytes(t *testing.T) {
	for _, c := range cases {
		first := base()
		c.change(&first)
		want := text(t, first, nil)
		for range 5 {
			again := base()
			c.change(&again)
			if got := text(t, again, nil); !bytes.Equal(got, want) {
				t.Fatalf("%s: two renderings differ", c.name)
			}
		}
	}
}

// TestOrder pins what must be written before the pods.
func TestOrder(t *testing.T) {
	in := base()
	in.Spec.Mesh.NamespaceInjection.Mode = v1alpha1.Managed
	objects, err := Objects(in)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, o := range objects {
		kinds = append(kinds, o.GetKind())
	}
	want := "ControllerRevision Namespace ServiceAccount ConfigMap IngressClass PeerAuthentication DestinationRule Sidecar Service PodDisruptionBudget Deployment"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("order\n got %s\nwant %s", got, want)
	}
}

func TestOverlayThatCannotBeMerged(t *testing.T) {
	in := base()
	in.Spec.Deployment.PodTemplate = &v1alpha1.PodTemplateOverlay{Spec: &v1alpha1.PodSpecOverlay{}}
	in.Spec.Deployment.PodTemplate.Spec.Raw = []byte(`{"containers": "none"}`)
	if _, err := Objects(in); err == nil || !strings.Contains(err.Error(), "spec.deployment.podTemplate") {
		t.Errorf("error %v does not name the field", err)
	}
}

// TestNeverTheSidecarsUser: traffic of user 1337 bypasses the mesh.
func TestNeverTheSidecarsUser(t *testing.T) {
	if bytes.Contains(text(t, base(), []string{"Deployment"}), []byte("1337")) {
		t.Error("the proxy runs as the sidecar's user")
	}
}

func TestRevisionRecordsGenerations(t *testing.T) {
	first, second := base(), base()
	second.Generation = 4
	a, err := Revision(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Revision(second)
	if err != nil {
		t.Fatal(err)
	}
	if a.GetName() == b.GetName() {
		t.Error("a record's data is immutable: another generation needs another name")
	}
}
