// SPDX-License-Identifier: Apache-2.0

// Package addons renders what every cluster runs inside Kubernetes: CoreDNS and
// Istio. It is pure; applying is somebody else's work.
package addons

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
)

//go:embed coredns.yaml
var coreDNSTemplate string

// CoreDNS returns the manifest of the cluster's DNS server.
func CoreDNS() []byte {
	return []byte(strings.NewReplacer(
		"COREDNS_IMAGE", layout.CoreDNSImage,
		"DNS_ADDRESS", layout.DNSAddress.String(),
	).Replace(coreDNSTemplate))
}

// Policy is Istio's meshConfig.outboundTrafficPolicy.mode.
type Policy string

// The two policies that Istio knows.
const (
	AllowAny     Policy = "ALLOW_ANY"
	RegistryOnly Policy = "REGISTRY_ONLY"
)

// ParsePolicy accepts exactly Istio's spelling.
func ParsePolicy(value string) (Policy, error) {
	switch p := Policy(value); p {
	case AllowAny, RegistryOnly:
		return p, nil
	}
	return "", fmt.Errorf("--outbound-traffic-policy %q: want %s or %s", value, AllowAny, RegistryOnly)
}

// IstioNamespace is where istiod runs.
const IstioNamespace = "istio-system"

// IstioArgs returns the arguments of istioctl that print Istio's manifest.
func IstioArgs(policy Policy) []string {
	values := []string{
		"profile=minimal",
		"hub=docker.io/istio",
		"tag=" + layout.IstioVersion,
		"values.global.imagePullPolicy=IfNotPresent",
		// The Envoy of the wheel lacks Istio's own filters: metadata exchange,
		// telemetry and ALPN. Without these settings it refuses its config.
		"values.telemetry.enabled=false",
		"values.pilot.env.PILOT_ENABLE_METADATA_EXCHANGE=false",
		"values.pilot.env.PILOT_ENABLE_ALPN_FILTER=false",
		"values.pilot.env.PILOT_DISABLE_MX_ALPN=true",
		// Requests that fit a small machine.
		"values.pilot.resources.requests.cpu=50m",
		"values.pilot.resources.requests.memory=128Mi",
		"values.global.proxy.resources.requests.cpu=10m",
		"values.global.proxy.resources.requests.memory=40Mi",
		"meshConfig.accessLogFile=/dev/stdout",
		"meshConfig.outboundTrafficPolicy.mode=" + string(policy),
	}
	args := []string{"manifest", "generate"}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	return args
}
