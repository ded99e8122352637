// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Texts of the rules on a spec. The CEL rules in the markers beside the types carry the same texts,
// which a test holds together.
const (
	msgNameLength = "metadata.name: must be at most 40 characters, because it becomes a Service name and a label value; choose a shorter name"
	msgNameForm   = "metadata.name: must be a DNS-1035 label (lower case letters, digits and '-', starting with a letter, ending with a letter or digit), because it becomes a Service name"

	msgClassName = "must be a DNS-1123 subdomain, as every IngressClass name; use lower case letters, digits, '-' and '.'"

	msgListenerPorts          = "two listeners use the same port with the same transport (TCP or UDP); give each listener a port of its own"
	msgListenerContainerPorts = "two listeners use the same containerPort with the same transport (TCP or UDP); give each listener a containerPort of its own"
	msgListenerTLS            = "tls is only for protocol HTTPS or TLS; remove tls or change the protocol"
	msgListenerUDP            = "protocol UDP needs exposure External, because the sidecar does not carry UDP; set exposure: External"
	msgListenerPrivileged     = "containerPort is required for a port below 1024 other than 80 and 443, because the proxy runs without privileges; set containerPort to a free port from 1024 up"
	msgListenerIstioPort      = "container ports 15000 to 15090 belong to Istio's sidecar; set containerPort to another port"
	msgListenerOwnPort        = "container ports 8005 (configuration stream) and 8007 (status listener) belong to the gateway itself; set containerPort to another port"
	msgListenerName           = "must be a port name: at most 15 lower case letters, digits and single '-', starting with a letter"
	msgListenerStatusName     = "the name status belongs to the gateway's own status port; choose another name"
	msgSecretName             = "must be the name of a Secret in the gateway's namespace: a DNS-1123 subdomain"

	msgReplicas          = "replicas and autoscaling exclude each other; remove replicas to let the autoscaler decide"
	msgReplicasRange     = "minReplicas may not be above maxReplicas"
	msgStrategyType      = "strategy.type must be RollingUpdate or Recreate"
	msgStrategyRecreate  = "strategy.rollingUpdate is only for strategy.type RollingUpdate; remove it"
	msgStrategyStuck     = "strategy.rollingUpdate: maxSurge and maxUnavailable may not both be 0, no pod could ever be replaced; raise one of them"
	msgBudgetBoth        = "minAvailable and maxUnavailable exclude each other; keep one"
	msgBudgetUnmanaged   = "minAvailable and maxUnavailable are only for mode Managed; remove them or set mode: Managed"
	msgBudgetValue       = "must be a number from 0 up or a percentage from 0% to 100%"
	msgImage             = "must be an image reference without white space"
	msgOverlayAccount    = "may not set serviceAccountName: the proxies' identity in the mesh is the operator's; remove it"
	msgOverlayHost       = "may not set hostNetwork, hostPID or hostIPC: a pod in a host namespace cannot be a member of the mesh; remove them"
	msgOverlayCommand    = "may not set command or args of container proxy; use spec.proxy for its settings"
	msgOverlayLabels     = "labels gateway.konghq.com/* and app.kubernetes.io/name, instance and managed-by belong to the operator; use other keys"
	msgOverlayInjection  = "labels that steer Istio's injection are set by the operator; use spec.mesh.mode and spec.mesh.revision"
	msgOwnAnnotations    = "annotations gateway.konghq.com/* belong to the operator; use other keys"
	msgOverlaySidecar    = "annotations that steer the sidecar's ports are set by the operator; use exposure in spec.listeners"
	msgBalancerClassType = "loadBalancerClass is only for type LoadBalancer; remove it or change the type"
	msgSourceRangesType  = "loadBalancerSourceRanges is only for type LoadBalancer; remove it or change the type"
	msgNodePortsType     = "nodePorts is only for type LoadBalancer or NodePort; remove it or change the type"
	msgNodePortsUnique   = "two entries use the same nodePort; give each listener a nodePort of its own"
	msgNodePortsListener = "spec.service.nodePorts: each entry must name one of spec.listeners; correct the listener's name or remove the entry"
	msgBalancerClass     = "loadBalancerClass cannot change while type is LoadBalancer, Kubernetes forbids it; set type: ClusterIP first, then LoadBalancer with the new class (the address will change)"
	msgCIDR              = "must be an address range in CIDR form, such as 192.0.2.0/24 or 2001:db8::/32"

	msgAddressRange = "must be an IP address or an address range in CIDR form, such as 192.0.2.7 or 192.0.2.0/24"
	msgRealIPHeader = "must be a header name such as X-Real-IP or X-Forwarded-For, or proxy_protocol"
	msgHeadersNone  = "None excludes every other header; remove None or the others"
	msgSize         = "must be a size as Kong writes it: digits, then k, m, g or nothing, such as 8k or 10m"

	msgRevisionMode = "revision has no meaning with mode None; remove revision or change the mode"
	msgRevision     = "must be the name of an Istio revision or tag, which is a label value"

	msgBlueGreenMode   = "blueGreen is only for mode BlueGreen; remove blueGreen or change the mode"
	msgPodMonitorMode  = "intervalSeconds and labels are only for mode Managed; remove them or set mode: Managed"
	msgTracingEndpoint = "endpoint is required with mode OpenTelemetry and has no meaning without it; set both or neither"
	msgTracingURL      = "must be an http or https URL with a host"
)
