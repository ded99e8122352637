// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// Outbound traffic policies of a mesh.
const (
	OutboundAllowAny     = "ALLOW_ANY"
	OutboundRegistryOnly = "REGISTRY_ONLY"
)

// Config is the part of Istio's MeshConfig that the operator looks at, with Istio's defaults filled in.
type Config struct {
	// RootNamespace is where mesh-wide policies live.
	RootNamespace string
	// TrustDomain is the first part of every SPIFFE identity.
	TrustDomain string
	// OutboundTrafficPolicy is ALLOW_ANY or REGISTRY_ONLY.
	OutboundTrafficPolicy string
	// EnableAutoMTLS says that proxies use mTLS to every endpoint that offers it.
	EnableAutoMTLS bool
}

// ParseConfig reads key "mesh" of the ConfigMap istio[-<revision>]. Fields that the operator does not know are ignored.
// istiodNamespace is the root namespace when the text names none.
//
// Errors: text that is not YAML, or fields of the wrong type.
func ParseConfig(text, istiodNamespace string) (Config, error) {
	var raw struct {
		RootNamespace         string `json:"rootNamespace"`
		TrustDomain           string `json:"trustDomain"`
		EnableAutoMTLS        *bool  `json:"enableAutoMtls"`
		OutboundTrafficPolicy struct {
			Mode string `json:"mode"`
		} `json:"outboundTrafficPolicy"`
	}
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		return Config{}, fmt.Errorf("mesh configuration: %w", err)
	}
	c := Config{RootNamespace: istiodNamespace, TrustDomain: "cluster.local", OutboundTrafficPolicy: OutboundAllowAny, EnableAutoMTLS: true}
	if raw.RootNamespace != "" {
		c.RootNamespace = raw.RootNamespace
	}
	if raw.TrustDomain != "" {
		c.TrustDomain = raw.TrustDomain
	}
	if raw.OutboundTrafficPolicy.Mode != "" {
		c.OutboundTrafficPolicy = raw.OutboundTrafficPolicy.Mode
	}
	if raw.EnableAutoMTLS != nil {
		c.EnableAutoMTLS = *raw.EnableAutoMTLS
	}
	return c, nil
}

// ConfigMapName is the name of the ConfigMap that holds the MeshConfig of a revision, in istiod's namespace.
func ConfigMapName(revision string) string {
	if revision == "" || revision == DefaultRevision {
		return "istio"
	}
	return "istio-" + revision
}
