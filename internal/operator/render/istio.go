// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

const (
	securityAPI   = "security.istio.io/v1"
	networkingAPI = "networking.istio.io/v1"
)

// ExcludedPorts are the container ports that bypass the sidecar inbound: those of External listeners, and the status
// port, sorted.
func ExcludedPorts(listeners []v1alpha1.Listener) []int32 {
	ports := []int32{v1alpha1.StatusPort}
	for _, l := range listeners {
		if l.Exposure == v1alpha1.ExposureExternal && l.Protocol != v1alpha1.ProtocolUDP {
			ports = append(ports, l.TargetPort())
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func joinPorts(ports []int32) string {
	s := make([]string, len(ports))
	for i, p := range ports {
		s[i] = fmt.Sprint(p)
	}
	return strings.Join(s, ",")
}

// PeerAuthentication renders which mTLS the gateway's pods demand: none on the ports that bypass the sidecar, so that
// other sidecars do not use it there; on the rest what the spec says. Nil when unmanaged, without a mesh, or when Istio's
// kind is not there.
func PeerAuthentication(in Input) (*unstructured.Unstructured, error) {
	modes := map[v1alpha1.PeerAuthenticationMode]string{
		v1alpha1.PeerAuthenticationStrict: "STRICT", v1alpha1.PeerAuthenticationPermissive: "PERMISSIVE",
	}
	mode := modes[in.Spec.Mesh.PeerAuthentication.Mode]
	if mode == "" || !in.meshed() || !in.Served.PeerAuthentication {
		return nil, nil
	}
	ports := map[string]any{}
	for _, p := range append(ExcludedPorts(in.Spec.Listeners), in.LivePorts...) {
		ports[fmt.Sprint(p)] = map[string]any{"mode": "DISABLE"}
	}
	return in.istio(securityAPI, "PeerAuthentication", in.Name, map[string]any{
		"selector":      map[string]any{"matchLabels": stringMap(SelectorLabels(in.Name))},
		"mtls":          map[string]any{"mode": mode},
		"portLevelMtls": ports,
	}), nil
}

// DestinationRule renders the rule for the gateway's own Service: plain text to the External ports, nothing else,
// because host-wide TLS settings would break Mesh ports. Nil when unmanaged, without a mesh, without External ports, or
// when Istio's kind is not there.
func DestinationRule(in Input) (*unstructured.Unstructured, error) {
	if in.Spec.Mesh.DestinationRules.Mode == v1alpha1.DestinationRulesUnmanaged || !in.meshed() || !in.Served.DestinationRule {
		return nil, nil
	}
	var settings []any
	for _, l := range in.Spec.Listeners {
		if l.Exposure == v1alpha1.ExposureExternal && l.Protocol != v1alpha1.ProtocolUDP {
			settings = append(settings, map[string]any{
				"port": map[string]any{"number": int64(l.Port)}, "tls": map[string]any{"mode": "DISABLE"},
			})
		}
	}
	if len(settings) == 0 {
		return nil, nil
	}
	return in.istio(networkingAPI, "DestinationRule", in.Name, map[string]any{
		"host":          fmt.Sprintf("%s.%s.svc.%s", in.Name, in.Namespace, in.clusterDomain()),
		"trafficPolicy": map[string]any{"portLevelSettings": settings},
	}), nil
}

// Sidecar renders the egress scope of the gateway's pods. Nil when unmanaged, without a mesh, or when Istio's kind is
// not there.
func Sidecar(in Input) (*unstructured.Unstructured, error) {
	if in.Spec.Mesh.EgressScope.Mode != v1alpha1.Managed || !in.meshed() || !in.Served.Sidecar {
		return nil, nil
	}
	spec := map[string]any{
		"workloadSelector": map[string]any{"labels": stringMap(SelectorLabels(in.Name))},
		"egress":           egress(in),
	}
	if in.OutboundTrafficPolicy != nil {
		spec["outboundTrafficPolicy"] = runtime.DeepCopyJSON(in.OutboundTrafficPolicy)
	}
	return in.istio(networkingAPI, "Sidecar", in.Name, spec), nil
}

func egress(in Input) []any {
	var out []any
	for _, e := range in.Egress.Entries {
		port := map[string]any{"number": int64(e.Port), "name": fmt.Sprintf("p%d", e.Port)}
		if e.L4 {
			port["protocol"] = "TCP"
		}
		out = append(out, map[string]any{"port": port, "hosts": anys(e.Hosts)})
	}
	switch {
	case len(in.Egress.CatchAll) > 0:
		out = append(out, map[string]any{"hosts": anys(in.Egress.CatchAll)})
	case len(out) == 0:
		// Without any entry the scope would be the whole mesh; this one matches nothing.
		out = append(out, map[string]any{"hosts": []any{"~/*"}})
	}
	return out
}

func (in Input) clusterDomain() string {
	if in.Settings.ClusterDomain == "" {
		return "cluster.local"
	}
	return in.Settings.ClusterDomain
}

func anys(items []string) []any {
	out := make([]any, len(items))
	for i, v := range items {
		out[i] = v
	}
	return out
}
