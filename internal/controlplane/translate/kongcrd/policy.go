// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TranslateUpstreamPolicy returns what a KongUpstreamPolicy says, or what is
// wrong with it, as the result's facts. The Services that name it tell the user.
func TranslateUpstreamPolicy(p *kongv1beta1.KongUpstreamPolicy, refs fragment.Refs) fragment.Result {
	facts := fragment.PolicyFacts{Exists: true, Object: UpstreamPolicyRef(p)}
	if facts.Field, facts.Message = CheckUpstreamPolicy(&p.Spec); facts.Message == "" {
		upstream := anyUpstream()
		ApplyUpstreamPolicy(&p.Spec, upstream)
		if problems := refs.Check(upstream); len(problems) > 0 {
			facts.Field, facts.Message = "spec", problems[0].Field+": "+problems[0].Message
		}
	}
	if facts.Message == "" {
		facts.Policy = &p.Spec
	}
	return fragment.Result{Facts: facts, Invalid: facts.Message != ""}
}

// TranslateKongIngress returns what the upstream part of a KongIngress says, or
// what is wrong with it, as the result's facts. In the mesh only the Host header
// counts.
func TranslateKongIngress(k *kongv1.KongIngress, refs fragment.Refs) fragment.Result {
	facts := fragment.PolicyFacts{Exists: true, Object: KongIngressRef(k)}
	var result fragment.Result
	if k.Proxy != nil || k.Route != nil {
		result.Report(facts.Object, "proxy, route", fragment.ReasonKongIngressInvalid,
			"the sections proxy and route of a KongIngress are not read", "use the annotations of the Service and the Ingress")
	}
	if k.Upstream != nil {
		facts.Field, facts.Message = checkKongIngress(k.Upstream, refs)
		if result.Invalid = facts.Message != ""; !result.Invalid {
			facts.Upstream = k.Upstream
		}
	}
	result.Facts = facts
	return result
}

// checkKongIngress returns a field of a KongIngress that Kong does not accept,
// and why; nothing when there is none.
func checkKongIngress(k *kongv1.KongIngressUpstream, refs fragment.Refs) (field, message string) {
	upstream := anyUpstream()
	if ApplyKongIngress(k, upstream, refs.Settings().Mesh) != nil {
		return "upstream.healthchecks", "the health checks cannot be read"
	}
	if problems := refs.Check(upstream); len(problems) > 0 {
		return "upstream." + problems[0].Field, problems[0].Message
	}
	return "", ""
}

// anyUpstream returns an upstream that says nothing but its name.
func anyUpstream() *entity.Upstream {
	return &entity.Upstream{ID: fragment.ID(entity.KindUpstream, "upstream"), Name: "upstream"}
}
