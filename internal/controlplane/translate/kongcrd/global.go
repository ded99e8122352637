// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"
	"slices"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// IsGlobal reports whether a KongClusterPlugin applies to every request: only
// with a label of exactly this value, as Kong's ingress controller selects them.
func IsGlobal(p *kongv1.KongClusterPlugin) bool {
	return p.Labels[fragment.LabelGlobal] == "true"
}

// TranslateGlobal returns the global plugin of a KongClusterPlugin. Two of the
// same type cancel each other, as in Kong's ingress controller; of a type that
// refuses requests the oldest applies instead: a second one must not open what
// the first guards. One that has no
// usable version, of a type that refuses requests, becomes a plugin that answers
// 500: what it guards is not to be open because a Secret is gone.
func TranslateGlobal(p *kongv1.KongClusterPlugin, refs fragment.Refs) fragment.Result {
	var result fragment.Result
	claim := fragment.Claim{Scope: fragment.ClaimGlobalPlugin, Value: p.PluginName}
	if p.Disabled {
		claim.Data = disabledGlobal
	}
	result.Claims = []fragment.Claim{claim}
	claimants := refs.Claimants(claim)
	applied := ""
	if len(guardedBy(p, refs)) > 0 {
		applied = appliedGlobal(claimants, p.Name)
	}
	for _, c := range claimants {
		if c.Owner.Name == p.Name {
			continue
		}
		consequence := "neither is applied, and requests are served without it"
		if applied != "" {
			consequence = "only " + applied + " is applied"
		}
		result.Report(ClusterPluginRef(p), "metadata.labels[global]", fragment.ReasonConflict,
			fmt.Sprintf("KongClusterPlugin %s is global and of type %s as well; %s", c.Owner.Name, p.PluginName, consequence),
			"remove the label from one of the two")
	}
	facts := refs.Plugin("", p.Name)
	switch {
	case len(result.Problems) > 0 && applied != p.Name:
	case facts.Template != nil:
		result.Entities = []entity.Entity{instance(facts.Template, PluginOwner("", p.Name).String(), Attachment{}, Attachment{}.key())}
	case facts.Why != "" && !p.Disabled:
		brokenGlobal(p, refs, facts.Why, &result)
	}
	return result
}

// disabledGlobal is the data of claims of plugins that are not to run: they do
// not take the place of one that is.
const disabledGlobal = "disabled"

// appliedGlobal returns whose the plugin is of a type that guards: the oldest's
// that is enabled. alone is who it is if nobody is known to contend.
func appliedGlobal(claimants []fragment.Claimant, alone string) string {
	for _, c := range claimants {
		if c.Data != disabledGlobal {
			return c.Owner.Name
		}
	}
	if len(claimants) > 0 {
		return claimants[0].Owner.Name
	}
	return alone
}

// brokenGlobal deals with a global plugin that has no usable version.
func brokenGlobal(p *kongv1.KongClusterPlugin, refs fragment.Refs, why string, result *fragment.Result) {
	guarded := guardedBy(p, refs)
	consequence := "requests are served without it"
	if len(guarded) > 0 && !refs.Settings().RunWithoutBrokenPlugins {
		consequence = "all requests and sessions that it would apply to are refused, requests with 500"
		markGlobal(p, refs, guarded, result)
	}
	result.Report(ClusterPluginRef(p), "metadata.labels[global]", fragment.ReasonPluginUnusable,
		fmt.Sprintf("the global plugin has no usable version: %s; %s", fragment.Cut(why, maxViolation), consequence),
		"correct the plugin, or remove the label")
}

// observers are plugins of Kong that look at requests and refuse none, and that
// a gateway may lack. Nobody is unprotected without them.
var observers = []string{"app-dynamics", "datadog", "kafka-log", "opentelemetry", "statsd", "statsd-advanced", "zipkin"}

// guardedBy returns the protocols of the routes that a plugin guards. Of a type
// that is not known it may be all, unless Kong's plugin of that name only looks.
func guardedBy(p *kongv1.KongClusterPlugin, refs fragment.Refs) []entity.Protocol {
	if slices.Contains(observers, p.PluginName) {
		return nil
	}
	probe := &entity.Plugin{Name: p.PluginName}
	for _, protocol := range p.Protocols {
		probe.Protocols = append(probe.Protocols, entity.Protocol(protocol))
	}
	var guarded []entity.Protocol
	for _, protocol := range append(entity.HTTPProtocols(),
		entity.ProtocolTCP, entity.ProtocolTLS, entity.ProtocolTLSPassthrough, entity.ProtocolUDP) {
		if runs, guards := refs.Runs(probe, []entity.Protocol{protocol}); runs && guards {
			guarded = append(guarded, protocol)
		}
	}
	return guarded
}

// markGlobal adds the plugin that answers 500 everywhere. There is one for all
// broken global plugins, as plugins of one type and scope exclude each other: the
// oldest brings it, for the protocols of all.
func markGlobal(p *kongv1.KongClusterPlugin, refs fragment.Refs, guarded []entity.Protocol, result *fragment.Result) {
	marker := entity.Unusable(false)
	claim := fragment.Claim{Scope: fragment.ClaimGlobalPlugin, Value: marker.Name}
	older := false
	for _, c := range refs.Claimants(claim) {
		if c.Data == "" || c.Data == disabledGlobal {
			continue // somebody's plugin of this very type
		}
		older = older || len(marker.Protocols) == 0 && c.Owner.Name != p.Name
		for _, protocol := range strings.Split(c.Data, ",") {
			marker.Protocols = append(marker.Protocols, entity.Protocol(protocol))
		}
	}
	names := make([]string, len(guarded))
	for i, protocol := range guarded {
		names[i] = string(protocol)
	}
	claim.Data = strings.Join(names, ",")
	result.Claims = append(result.Claims, claim)
	if older {
		return
	}
	marker.Protocols = append(marker.Protocols, guarded...)
	slices.Sort(marker.Protocols)
	marker.Protocols = slices.Compact(marker.Protocols)
	marker.Tags = fragment.Tags(ClusterPluginRef(p), nil)
	result.Entities = []entity.Entity{instance(&marker, "broken global", Attachment{}, Attachment{}.key())}
}
