// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

// sidecarAdmin is where the sidecar tells its listeners.
const sidecarAdmin = "127.0.0.1:15000"

func args(in Input) []string {
	a := []string{
		fmt.Sprintf("--gateway=%s/%s", in.Namespace, in.Name),
		fmt.Sprintf("--control-plane=dns:///%s:%d", in.Settings.StreamHost, v1alpha1.ConfigStreamPort),
		"--control-plane-server-name=" + in.Settings.StreamHost,
		"--control-plane-ca-dir=" + dirCA,
		"--token-file=" + dirToken + "/token",
		"--snapshot-dir=" + dirSnapshot,
		"--data-dir=" + dirData,
		"--proxy-listen=" + listen(in, v1alpha1.ProtocolHTTP, v1alpha1.ProtocolHTTPS),
	}
	if stream := listen(in, v1alpha1.ProtocolTCP, v1alpha1.ProtocolTLS, v1alpha1.ProtocolUDP); stream != "off" {
		a = append(a, "--stream-listen="+stream)
	}
	a = append(a, fmt.Sprintf("--status-listen=%s:%d", anyAddress(in.Spec.Service), v1alpha1.StatusPort))
	if in.meshed() {
		a = append(a, "--mesh=sidecar", "--sidecar-admin="+sidecarAdmin)
	} else {
		a = append(a, "--mesh=none")
	}
	return append(a,
		fmt.Sprintf("--drain-delay-seconds=%d", *in.Spec.Drain.AcceptSeconds),
		fmt.Sprintf("--drain-timeout-seconds=%d", in.Spec.Drain.TimeoutSeconds))
}

// listen writes the listeners of the given protocols as Kong's proxy_listen and stream_listen do.
func listen(in Input, protocols ...v1alpha1.ListenerProtocol) string {
	var out []string
	for _, p := range in.Spec.Listeners {
		for _, wanted := range protocols {
			if p.Protocol == wanted {
				flags := listenFlags(p.Protocol) + proxyProtocol(in.Spec, p) + meshFlag(in, p)
				out = append(out, fmt.Sprintf("%s:%d%s", anyAddress(in.Spec.Service), p.TargetPort(), flags))
			}
		}
	}
	if len(out) == 0 {
		return "off"
	}
	return strings.Join(out, ", ")
}

// proxyProtocol is the flag of listeners that a load balancer reaches, where it tells by the PROXY protocol who its
// clients are. Sidecars do not speak it, and datagrams have no place for it.
func proxyProtocol(spec v1alpha1.KongIstioGatewaySpec, l v1alpha1.Listener) string {
	if spec.Proxy.RealIPHeader != v1alpha1.RealIPProxyProtocol || l.Exposure != v1alpha1.ExposureExternal || l.Protocol == v1alpha1.ProtocolUDP {
		return ""
	}
	return " proxy_protocol"
}

// meshFlag is the flag of listeners for requests that the sidecar stands before.
func meshFlag(in Input, l v1alpha1.Listener) string {
	if !in.meshed() || l.Exposure != v1alpha1.ExposureMesh || l.Protocol != v1alpha1.ProtocolHTTP && l.Protocol != v1alpha1.ProtocolHTTPS {
		return ""
	}
	return " mesh"
}

func listenFlags(p v1alpha1.ListenerProtocol) string {
	switch p {
	case v1alpha1.ProtocolHTTPS:
		return " ssl http2"
	case v1alpha1.ProtocolTLS:
		return " ssl"
	case v1alpha1.ProtocolUDP:
		return " udp"
	default:
		return ""
	}
}

// anyAddress is the address that listens on every family the pods have.
func anyAddress(s v1alpha1.Service) string {
	if s.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack || s.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack {
		return "[::]"
	}
	return "0.0.0.0"
}

// environment holds the pod's own facts, and Kong's settings under Kong's variable names.
func environment(in Input) []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
		}}
	}
	env := []corev1.EnvVar{
		field("POD_NAME", "metadata.name"),
		field("POD_NAMESPACE", "metadata.namespace"),
		field("POD_UID", "metadata.uid"),
		field("POD_IP", "status.podIP"),
		field("NODE_NAME", "spec.nodeName"),
	}
	p := in.Spec.Proxy
	if len(p.TrustedIPs) > 0 {
		env = append(env, corev1.EnvVar{Name: "KONG_TRUSTED_IPS", Value: join(p.TrustedIPs)})
	}
	if maps := portMaps(in.Spec.Listeners); maps != "" {
		env = append(env, corev1.EnvVar{Name: "KONG_PORT_MAPS", Value: maps})
	}
	if p.Compatibility.Mode == v1alpha1.CompatibilityKong314 {
		env = append(env, corev1.EnvVar{Name: "KONG_COMPATIBILITY", Value: "3.14"})
	}
	return append(env,
		// A Service's SRV records name all of its ports; who names a Service names the port as well.
		corev1.EnvVar{Name: "KONG_DNS_ORDER", Value: "LAST,A,AAAA,SRV"},
		corev1.EnvVar{Name: "KONG_REAL_IP_HEADER", Value: p.RealIPHeader},
		corev1.EnvVar{Name: "KONG_REAL_IP_RECURSIVE", Value: onOff(p.RealIPRecursive)},
		corev1.EnvVar{Name: "KONG_HEADERS", Value: headers(p.Headers)},
		corev1.EnvVar{Name: "KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE", Value: string(p.ClientMaxBodySize)},
		corev1.EnvVar{Name: "KONG_NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE", Value: string(p.ClientBodyBufferSize)},
		corev1.EnvVar{
			Name:  "KONG_NGINX_HTTP_LARGE_CLIENT_HEADER_BUFFERS",
			Value: fmt.Sprintf("%d %s", p.LargeClientHeaderBuffers.Number, p.LargeClientHeaderBuffers.Size),
		},
		corev1.EnvVar{Name: "KONG_PROXY_ACCESS_LOG", Value: accessLog(in.Spec.Observability.AccessLog)},
	)
}

// portMaps tells the proxy the ports that clients use, which X-Forwarded-Port must name (Kong: port_maps). External and
// Mesh ports alike are reached through the Service. Stream routes are matched by these ports, too.
func portMaps(listeners []v1alpha1.Listener) string {
	var out []string
	mapped := map[int32]bool{} // a UDP listener may share its container port with a TCP one
	for _, l := range listeners {
		if l.Port != l.TargetPort() && !mapped[l.TargetPort()] {
			mapped[l.TargetPort()] = true
			out = append(out, fmt.Sprintf("%d:%d", l.Port, l.TargetPort()))
		}
	}
	return strings.Join(out, ", ")
}

func headers(h []v1alpha1.ResponseHeader) string {
	if len(h) == 1 && h[0] == v1alpha1.ResponseHeaderNone {
		return "off"
	}
	return join(h)
}

func accessLog(a v1alpha1.AccessLog) string {
	if a.Mode == v1alpha1.AccessLogDisabled {
		return "off"
	}
	return "/dev/stdout"
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func join[T ~string](items []T) string {
	s := make([]string, len(items))
	for i, v := range items {
		s[i] = string(v)
	}
	return strings.Join(s, ",")
}
