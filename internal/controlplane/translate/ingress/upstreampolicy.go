// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"fmt"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
)

// upstreamPolicy applies the KongUpstreamPolicy that the Service names. Behind
// the sidecar there is one address for each Service, and the mesh balances and
// watches the pods: the policy is left to it, and says so.
func (b *backend) upstreamPolicy(annotations map[string]string) {
	name, named := annotations[fragment.AnnotationUpstreamPolicy]
	if !named {
		return
	}
	name = strings.TrimSpace(name)
	policy := b.refs.UpstreamPolicy(b.key.Namespace, name)
	if !policy.Exists {
		b.result.Report(b.ref, fragment.AnnotationField(fragment.AnnotationUpstreamPolicy), fragment.ReasonPolicyNotFound,
			fmt.Sprintf("KongUpstreamPolicy %s/%s does not exist; Kong's defaults apply", b.key.Namespace, name), "create it, or correct the name")
		return
	}
	if b.refs.Settings().Mesh {
		b.result.Report(policy.Object, "spec", fragment.ReasonDelegatedToMesh,
			fmt.Sprintf("Service %s/%s is balanced and watched by the mesh; the policy has no effect on it", b.key.Namespace, b.key.Service),
			"say the same in a DestinationRule for the Service")
		return
	}
	if policy.Message != "" {
		b.invalid(policy, fragment.ReasonPolicyInvalid, "correct the policy")
	}
	if policy.Policy == nil {
		return
	}
	changed := *b.upstream
	kongcrd.ApplyUpstreamPolicy(policy.Policy, &changed)
	if problems := b.refs.Check(&changed); len(problems) > 0 { // together with what else there is
		b.result.Report(policy.Object, "spec", fragment.ReasonPolicyInvalid,
			fmt.Sprintf("%s: %s; Kong's defaults apply to Service %s/%s", problems[0].Field, problems[0].Message, b.key.Namespace, b.key.Service),
			"correct the policy")
		return
	}
	b.upstream = &changed
}

// invalid reports what is wrong with the newest version of a policy, and what
// applies in its place.
func (b *backend) invalid(policy fragment.PolicyFacts, reason, fix string) {
	message := policy.Message
	if strings.HasSuffix(message, ".") {
		message += " "
	} else {
		message += "; "
	}
	if policy.LastGood {
		message += "its last valid version goes on serving"
	} else {
		message += fmt.Sprintf("Kong's defaults apply to Service %s/%s", b.key.Namespace, b.key.Service)
	}
	b.result.Report(policy.Object, policy.Field, reason, message, fix)
}
