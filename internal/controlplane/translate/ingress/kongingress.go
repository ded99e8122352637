// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
)

// kongIngress applies the upstream part of the KongIngress that the Service
// names. Annotations and a KongUpstreamPolicy are applied later, and win. In the
// mesh only the Host header is left to it: see upstreamPolicy.
func (b *backend) kongIngress(annotations map[string]string) {
	name, named := annotations[fragment.AnnotationOverride]
	if !named {
		return
	}
	name = strings.TrimSpace(name)
	object := b.refs.KongIngress(b.key.Namespace, name)
	if !object.Exists {
		b.result.Report(b.ref, fragment.AnnotationField(fragment.AnnotationOverride), fragment.ReasonKongIngressNotFound,
			fmt.Sprintf("KongIngress %s/%s does not exist; Kong's defaults apply", b.key.Namespace, name),
			"create it, or better use a KongUpstreamPolicy and "+fragment.AnnotationUpstreamPolicy)
		return
	}
	if object.Message != "" {
		b.invalid(object, fragment.ReasonKongIngressInvalid, "correct the KongIngress")
	}
	if object.Upstream == nil {
		return
	}
	changed := *b.upstream
	meshed := b.refs.Settings().Mesh
	if kongcrd.ApplyKongIngress(object.Upstream, &changed, meshed) != nil {
		return // what it said when it was found valid
	}
	b.upstream = &changed
	if meshed && kongcrd.BalancesUpstream(object.Upstream) {
		b.result.Report(object.Object, "upstream", fragment.ReasonDelegatedToMesh,
			fmt.Sprintf("Service %s/%s is balanced and watched by the mesh; only host_header has an effect on it", b.key.Namespace, b.key.Service),
			"say the same in a DestinationRule for the Service")
	}
}
