// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// where says which of the two judges of a spec holds a rule.
type where int

const (
	both       where = iota // a rule in CEL and in Validate
	schemaOnly              // types, bounds and lists that the API server checks; Validate repeats what matters
	goOnly                  // what CEL cannot see
)

// rule is one bad spec with the text that refuses it, or a good one, whose message is empty. The
// same table is given to Validate and to a real API server.
type rule struct {
	title   string
	name    string // of the object; "edge" when empty
	spec    string // YAML
	message string
	field   string // where Validate reports it
	judge   where
}

const listenersAround = "listeners: [{name: a, port: 80}, {name: b, port: 443, protocol: HTTPS}]\n"

func rules() []rule {
	all := [][]rule{goodSpecs(), nameRules(), listenerRules(), deploymentRules(), overlayRules(), serviceRules(), proxyRules(), meshRules(), operationRules()}
	var joined []rule
	for _, part := range all {
		joined = append(joined, part...)
	}
	return joined
}

func goodSpecs() []rule {
	return []rule{
		{title: "nothing set", spec: "{}"},
		{title: "longest name", name: strings.Repeat("a", 40), spec: "{}"},
		{title: "every listener protocol", spec: `listeners:
- {name: http, port: 80}
- {name: https, port: 443, protocol: HTTPS, tls: {defaultCertificate: {name: edge.example.com}}}
- {name: in-mesh, port: 8080, exposure: Mesh}
- {name: tls, port: 9443, protocol: TLS}
- {name: tcp, port: 9000, protocol: TCP}
- {name: udp, port: 9000, protocol: UDP}
`},
		{title: "low port with its container port", spec: "listeners: [{name: smtp, port: 25, containerPort: 2525, protocol: TCP}]"},
		{title: "ports next to the reserved ones", spec: "listeners: [{name: a, port: 14999}, {name: b, port: 15091}, {name: c, port: 8006}]"},
		{title: "a Service port may be 8005 or 15000", spec: "listeners: [{name: a, port: 8005, containerPort: 9005}, {name: b, port: 15000, containerPort: 9006}]"},
		{title: "deployment in full", spec: `deployment:
  replicas: 3
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}
  podDisruptionBudget: {minAvailable: 50%}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule}]
  resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 512Mi}}
  image: registry.example.com/proxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
`},
		{title: "overlay with containers and directives", spec: `deployment:
  podTemplate:
    metadata: {labels: {team: edge}, annotations: {sidecar.istio.io/proxyCPU: 200m}}
    spec:
      priorityClassName: system-cluster-critical
      nodeSelector: {kubernetes.io/os: linux}
      $retainKeys: [containers]
      containers:
      - {name: proxy, env: [{name: GOGC, value: "200"}, {name: OLD, $patch: delete}]}
      - {name: helper, image: helper, command: [/helper], args: [--fast]}
`},
		{title: "service in full", spec: `service:
  type: LoadBalancer
  annotations: {example.com/balancer: internal}
  loadBalancerClass: example.com/nlb
  loadBalancerSourceRanges: [192.0.2.0/24, "2001:db8::/32"]
  externalTrafficPolicy: Cluster
  ipFamilyPolicy: PreferDualStack
  nodePorts: [{listener: http, nodePort: 30080}, {listener: https, nodePort: 30443}]
`},
		{title: "proxy in full", spec: `proxy:
  trustedIPs: [10.0.0.0/8, 192.0.2.7, "2001:db8::1"]
  realIPHeader: X-Forwarded-For
  realIPRecursive: true
  headers: [None]
  clientMaxBodySize: 10m
  clientBodyBufferSize: 64k
  largeClientHeaderBuffers: {number: 8, size: 16k}
`},
		{title: "mesh in full", spec: `mesh:
  mode: Sidecar
  revision: 1-31-1
  namespaceInjection: {mode: Managed}
  peerAuthentication: {mode: Permissive}
  destinationRules: {mode: Unmanaged}
  egressScope: {mode: Unmanaged}
  upstreamHost: Service
`},
		{title: "operation in full", spec: `drain: {acceptSeconds: 0, timeoutSeconds: 3600}
rollout: {mode: BlueGreen, progressDeadlineSeconds: 120, blueGreen: {promotion: {mode: Manual, observeSeconds: 0}}}
observability:
  accessLog: {mode: Disabled}
  podMonitor: {mode: Managed, intervalSeconds: 15, labels: {release: prometheus}}
  tracing: {mode: OpenTelemetry, endpoint: "http://otel.observability:4318/v1/traces", samplingPercent: 0}
paused: true
`},
	}
}

func nameRules() []rule {
	return []rule{
		{title: "name too long", name: strings.Repeat("a", 41), spec: "{}", message: msgNameLength, field: "metadata.name"},
		{title: "name with a dot", name: "edge.one", spec: "{}", message: msgNameForm, field: "metadata.name"},
		{title: "name that starts with a digit", name: "1edge", spec: "{}", message: msgNameForm, field: "metadata.name"},
		{title: "class in capitals", spec: "ingressClassName: Kong", message: msgClassName, field: "spec.ingressClassName"},
	}
}

func listenerRules() []rule {
	const l0 = "spec.listeners[0]"
	return []rule{
		{title: "no listener", spec: "listeners: []", message: "should have at least 1 items", judge: schemaOnly},
		{title: "same name", spec: "listeners: [{name: a, port: 80}, {name: a, port: 81, containerPort: 8081}]", message: "Duplicate value", judge: schemaOnly},
		{title: "unknown protocol", spec: "listeners: [{name: a, port: 80, protocol: GRPC}]", message: `Unsupported value: "GRPC"`, judge: schemaOnly},
		{title: "port zero", spec: "listeners: [{name: a, port: 0}]", message: "should be greater than or equal to 1", judge: schemaOnly},
		{title: "container port below 1024", spec: "listeners: [{name: a, port: 80, containerPort: 80}]", message: "should be greater than or equal to 1024", judge: schemaOnly},
		{title: "same port", spec: "listeners: [{name: a, port: 80}, {name: b, port: 80, containerPort: 8001}]", message: msgListenerPorts, field: "spec.listeners"},
		{title: "same container port", spec: "listeners: [{name: a, port: 80}, {name: b, port: 8000}]", message: msgListenerContainerPorts, field: "spec.listeners"},
		{title: "tls on HTTP", spec: "listeners: [{name: a, port: 80, tls: {}}]", message: msgListenerTLS, field: l0},
		{title: "UDP in the mesh", spec: "listeners: [{name: a, port: 5353, protocol: UDP, exposure: Mesh}]", message: msgListenerUDP, field: l0},
		{title: "low port without container port", spec: "listeners: [{name: a, port: 81}]", message: msgListenerPrivileged, field: l0},
		{title: "first of the sidecar's ports", spec: "listeners: [{name: a, port: 15000}]", message: msgListenerIstioPort, field: l0},
		{title: "last of the sidecar's ports", spec: "listeners: [{name: a, port: 80, containerPort: 15090}]", message: msgListenerIstioPort, field: l0},
		{title: "configuration stream's port", spec: "listeners: [{name: a, port: 8005}]", message: msgListenerOwnPort, field: l0},
		{title: "status port", spec: "listeners: [{name: a, port: 80, containerPort: 8007}]", message: msgListenerOwnPort, field: l0},
		{title: "name with two hyphens", spec: "listeners: [{name: a--b, port: 80}]", message: msgListenerName, field: l0 + ".name"},
		{title: "name that is ours", spec: "listeners: [{name: status, port: 80}]", message: msgListenerStatusName, field: l0 + ".name"},
		{title: "name too long", spec: "listeners: [{name: abcdefghijklmnop, port: 80}]", message: "Too long", judge: schemaOnly},
		{title: "certificate's name", spec: "listeners: [{name: a, port: 443, protocol: HTTPS, tls: {defaultCertificate: {name: a_b}}}]", message: msgSecretName, field: l0 + ".tls.defaultCertificate.name"},
	}
}

func deploymentRules() []rule {
	const field = "spec.deployment"
	return []rule{
		{title: "replicas and autoscaling", spec: "deployment: {replicas: 2, autoscaling: {maxReplicas: 3}}", message: msgReplicas, field: field},
		{title: "autoscaling upside down", spec: "deployment: {autoscaling: {minReplicas: 5, maxReplicas: 3}}", message: msgReplicasRange, field: field + ".autoscaling"},
		{title: "negative replicas", spec: "deployment: {replicas: -1}", message: "should be greater than or equal to 0", judge: schemaOnly},
		{title: "unknown strategy", spec: "deployment: {strategy: {type: BigBang}}", message: msgStrategyType, field: field},
		{title: "Recreate with rollingUpdate", spec: "deployment: {strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}}", message: msgStrategyRecreate, field: field},
		{title: "stuck strategy", spec: "deployment: {strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}}", message: msgStrategyStuck, field: field},
		{title: "budget with both", spec: "deployment: {podDisruptionBudget: {minAvailable: 1, maxUnavailable: 1}}", message: msgBudgetBoth, field: field + ".podDisruptionBudget"},
		{title: "budget unmanaged with a value", spec: "deployment: {podDisruptionBudget: {mode: Unmanaged, minAvailable: 1}}", message: msgBudgetUnmanaged, field: field + ".podDisruptionBudget"},
		{title: "budget above 100 percent", spec: "deployment: {podDisruptionBudget: {minAvailable: 101%}}", message: msgBudgetValue, field: field + ".podDisruptionBudget.minAvailable"},
		{title: "negative budget", spec: "deployment: {podDisruptionBudget: {maxUnavailable: -1}}", message: msgBudgetValue, field: field + ".podDisruptionBudget.maxUnavailable"},
		{title: "image with a space", spec: `deployment: {image: "a b"}`, message: msgImage, field: field + ".image"},
	}
}

func overlayRules() []rule {
	const field = "spec.deployment.podTemplate"
	overlay := func(text string) string { return "deployment: {podTemplate: " + text + "}" }
	return []rule{
		{title: "serviceAccountName", spec: overlay("{spec: {serviceAccountName: admin}}"), message: msgOverlayAccount, field: field + ".spec"},
		{title: "serviceAccount", spec: overlay("{spec: {serviceAccount: admin}}"), message: msgOverlayAccount, field: field + ".spec"},
		{title: "hostNetwork", spec: overlay("{spec: {hostNetwork: true}}"), message: msgOverlayHost, field: field + ".spec"},
		{title: "hostPID", spec: overlay("{spec: {hostPID: true}}"), message: msgOverlayHost, field: field + ".spec"},
		{title: "hostIPC", spec: overlay("{spec: {hostIPC: true}}"), message: msgOverlayHost, field: field + ".spec"},
		{title: "our container's command", spec: overlay("{spec: {containers: [{name: proxy, command: [sh]}]}}"), message: msgOverlayCommand, field: field + ".spec"},
		{title: "our container's args", spec: overlay("{spec: {containers: [{name: proxy, args: [-v]}]}}"), message: msgOverlayCommand, field: field + ".spec"},
		{title: "our label", spec: overlay("{metadata: {labels: {gateway.konghq.com/gateway: x}}}"), message: msgOverlayLabels, field: field + ".metadata.labels"},
		{title: "the selector's label", spec: overlay("{metadata: {labels: {app.kubernetes.io/name: x}}}"), message: msgOverlayLabels, field: field + ".metadata.labels"},
		{title: "injection label", spec: overlay(`{metadata: {labels: {sidecar.istio.io/inject: "false"}}}`), message: msgOverlayInjection, field: field + ".metadata.labels"},
		{title: "our annotation", spec: overlay(`{metadata: {annotations: {gateway.konghq.com/x: "1"}}}`), message: msgOwnAnnotations, field: field + ".metadata.annotations"},
		{title: "port annotation", spec: overlay(`{metadata: {annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "1"}}}`), message: msgOverlaySidecar, field: field + ".metadata.annotations"},
		{title: "misspelt member", spec: overlay("{spec: {toleration: []}}"), message: `is no part of a Kubernetes PodSpec: unknown field "toleration"; correct the member's name or value`, field: field + ".spec", judge: goOnly},
		{title: "member of the wrong type", spec: overlay("{spec: {nodeSelector: ssd}}"), message: "is no part of a Kubernetes PodSpec: ", field: field + ".spec", judge: goOnly},
	}
}

func serviceRules() []rule {
	const field = "spec.service"
	return []rule{
		{title: "class without balancer", spec: "service: {type: NodePort, loadBalancerClass: example.com/nlb}", message: msgBalancerClassType, field: field},
		{title: "ranges without balancer", spec: "service: {type: ClusterIP, loadBalancerSourceRanges: [192.0.2.0/24]}", message: msgSourceRangesType, field: field},
		{title: "node ports without nodes", spec: "service: {type: ClusterIP, nodePorts: [{listener: http, nodePort: 30080}]}", message: msgNodePortsType, field: field},
		{title: "same node port", spec: "service: {nodePorts: [{listener: http, nodePort: 30080}, {listener: https, nodePort: 30080}]}", message: msgNodePortsUnique, field: field + ".nodePorts"},
		{title: "node port of no listener", spec: listenersAround + "service: {nodePorts: [{listener: http, nodePort: 30080}]}", message: msgNodePortsListener, field: "spec"},
		{title: "our annotation", spec: "service: {annotations: {gateway.konghq.com/gateway-uid: x}}", message: msgOwnAnnotations, field: field + ".annotations"},
		{title: "range that is an address", spec: "service: {loadBalancerSourceRanges: [192.0.2.7]}", message: msgCIDR, field: field + ".loadBalancerSourceRanges[0]"},
		{title: "unknown type", spec: "service: {type: ExternalName}", message: `Unsupported value: "ExternalName"`, judge: schemaOnly},
	}
}

func proxyRules() []rule {
	return []rule{
		{title: "trusted name", spec: "proxy: {trustedIPs: [example.com]}", message: msgAddressRange, field: "spec.proxy.trustedIPs[0]"},
		{title: "header with a space", spec: `proxy: {realIPHeader: "X Real"}`, message: msgRealIPHeader, field: "spec.proxy.realIPHeader"},
		{title: "None among others", spec: "proxy: {headers: [None, Via]}", message: msgHeadersNone, field: "spec.proxy.headers"},
		{title: "unknown header", spec: "proxy: {headers: [X-Other]}", message: `Unsupported value: "X-Other"`, judge: schemaOnly},
		{title: "size with a unit of Kubernetes", spec: "proxy: {clientMaxBodySize: 10Mi}", message: msgSize, field: "spec.proxy.clientMaxBodySize"},
		{title: "buffer size", spec: "proxy: {largeClientHeaderBuffers: {size: many}}", message: msgSize, field: "spec.proxy.largeClientHeaderBuffers.size"},
	}
}

func meshRules() []rule {
	return []rule{
		{title: "revision without mesh", spec: "mesh: {mode: None, revision: canary}", message: msgRevisionMode, field: "spec.mesh"},
		{title: "revision with a slash", spec: "mesh: {revision: a/b}", message: msgRevision, field: "spec.mesh.revision"},
		{title: "unknown mode", spec: "mesh: {mode: Linkerd}", message: `Unsupported value: "Linkerd"`, judge: schemaOnly},
		{title: "unknown upstream host", spec: "mesh: {upstreamHost: Client}", message: `Unsupported value: "Client"`, judge: schemaOnly},
	}
}

func operationRules() []rule {
	return []rule{
		{title: "accepting too long", spec: "drain: {acceptSeconds: 601}", message: "should be less than or equal to 600", judge: schemaOnly},
		{title: "no time to drain", spec: "drain: {timeoutSeconds: 0}", message: "should be greater than or equal to 1", judge: schemaOnly},
		{title: "deadline too short", spec: "rollout: {progressDeadlineSeconds: 9}", message: "should be greater than or equal to 10", judge: schemaOnly},
		{title: "blueGreen in the wrong mode", spec: "rollout: {blueGreen: {}}", message: msgBlueGreenMode, field: "spec.rollout"},
		{title: "interval without monitor", spec: "observability: {podMonitor: {intervalSeconds: 10}}", message: msgPodMonitorMode, field: "spec.observability.podMonitor"},
		{title: "tracing without endpoint", spec: "observability: {tracing: {mode: OpenTelemetry}}", message: msgTracingEndpoint, field: "spec.observability.tracing"},
		{title: "endpoint without tracing", spec: `observability: {tracing: {endpoint: "http://otel:4318"}}`, message: msgTracingEndpoint, field: "spec.observability.tracing"},
		{title: "endpoint of another scheme", spec: `observability: {tracing: {mode: OpenTelemetry, endpoint: "grpc://otel:4317"}}`, message: msgTracingURL, field: "spec.observability.tracing.endpoint"},
		{title: "more than every trace", spec: `observability: {tracing: {samplingPercent: 101}}`, message: "should be less than or equal to 100", judge: schemaOnly},
	}
}

// gateway decodes a case as the reconciler would read it from an API server.
func (r rule) gateway(t *testing.T) *KongIstioGateway {
	t.Helper()
	gateway := &KongIstioGateway{}
	if err := yaml.UnmarshalStrict([]byte(r.spec), &gateway.Spec); err != nil {
		t.Fatalf("spec of case %q: %v", r.title, err)
	}
	gateway.Namespace, gateway.Name = "default", r.name
	if gateway.Name == "" {
		gateway.Name = "edge"
	}
	SetDefaults(&gateway.Spec)
	return gateway
}
