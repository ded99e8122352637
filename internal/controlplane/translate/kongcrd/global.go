// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// IsGlobal reports whether a KongClusterPlugin applies to every request.
func IsGlobal(p *kongv1.KongClusterPlugin) bool {
	return strings.EqualFold(p.Labels[fragment.LabelGlobal], "true")
}

// TranslateGlobal returns the global plugin of a KongClusterPlugin. Two of the
// same type cancel each other, as in Kong's ingress controller.
func TranslateGlobal(p *kongv1.KongClusterPlugin, refs fragment.Refs) fragment.Result {
	var result fragment.Result
	claim := fragment.Claim{Scope: fragment.ClaimGlobalPlugin, Value: p.PluginName}
	result.Claims = []fragment.Claim{claim}
	for _, c := range refs.Claimants(claim) {
		if c.Owner.Name != p.Name {
			result.Report(ClusterPluginRef(p), "metadata.labels[global]", fragment.ReasonConflict,
				fmt.Sprintf("KongClusterPlugin %s is global and of type %s as well; neither is applied", c.Owner.Name, p.PluginName),
				"remove the label from one of the two")
		}
	}
	facts := refs.Plugin("", p.Name)
	if facts.Template != nil && len(result.Problems) == 0 {
		result.Entities = []entity.Entity{instance(facts.Template, PluginOwner("", p.Name).String(), Attachment{})}
	}
	return result
}
