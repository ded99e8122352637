// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
)

const (
	consistentHashing = "consistent-hashing"
	stickySessions    = "sticky-sessions"
	inputNone         = "none"
)

// CheckUpstreamPolicy returns the first field of a policy that its CRD would
// have refused, and why, in the CRD's words; nothing when there is none. Objects
// may be older than the rules, or never have seen an API server.
func CheckUpstreamPolicy(spec *kongv1beta1.KongUpstreamPolicySpec) (field, message string) {
	algorithm := value(spec.Algorithm, "")
	for _, check := range []struct {
		wrong          bool
		field, message string
	}{
		{
			inputs(spec.HashOn, true) > 1, "spec.hashOn",
			"Only one of spec.hashOn.(input|cookie|header|uriCapture|queryArg) can be set.",
		},
		{
			spec.HashOn != nil && spec.HashOn.Cookie != nil && spec.HashOn.CookiePath == nil, "spec.hashOn.cookiePath",
			"When spec.hashOn.cookie is set, spec.hashOn.cookiePath is required.",
		},
		{
			spec.HashOn != nil && spec.HashOn.CookiePath != nil && spec.HashOn.Cookie == nil, "spec.hashOn.cookie",
			"When spec.hashOn.cookiePath is set, spec.hashOn.cookie is required.",
		},
		{
			spec.HashOn != nil && algorithm != consistentHashing && algorithm != stickySessions, "spec.algorithm",
			"spec.algorithm must be set to either 'consistent-hashing' or 'sticky-sessions' when spec.hashOn is set.",
		},
		{
			inputs(spec.HashOnFallback, false) > 1, "spec.hashOnFallback",
			"Only one of spec.hashOnFallback.(input|header|uriCapture|queryArg) can be set.",
		},
		{
			spec.HashOnFallback != nil && (spec.HashOnFallback.Cookie != nil || spec.HashOnFallback.CookiePath != nil), "spec.hashOnFallback.cookie",
			"'spec.hashOnFallback.cookie' and 'spec.hashOnFallback.cookiePath' must not be set.",
		},
		{
			spec.HashOnFallback != nil && algorithm != consistentHashing, "spec.algorithm",
			`spec.algorithm must be set to "consistent-hashing" when spec.hashOnFallback is set.`,
		},
		{
			spec.HashOn != nil && spec.HashOn.Cookie != nil && spec.HashOnFallback != nil, "spec.hashOnFallback",
			"spec.hashOnFallback must not be set when spec.hashOn.cookie is set.",
		},
		{
			spec.StickySessions != nil && !onlyNone(spec.HashOn), "spec.hashOn.input",
			"When spec.stickySessions is set, spec.hashOn.input must be set to 'none' (no other hash_on fields allowed).",
		},
		{
			spec.StickySessions != nil && spec.StickySessions.Cookie == "", "spec.stickySessions.cookie",
			"spec.stickySessions.cookie is required when spec.stickySessions is set.",
		},
		{
			spec.StickySessions != nil && algorithm != stickySessions, "spec.algorithm",
			"spec.algorithm must be set to 'sticky-sessions' when spec.stickySessions is set.",
		},
		{
			passive(spec).Healthy != nil && passive(spec).Healthy.Interval != nil, "spec.healthchecks.passive.healthy.interval",
			"spec.healthchecks.passive.healthy.interval must not be set.",
		},
		{
			passive(spec).Unhealthy != nil && passive(spec).Unhealthy.Interval != nil, "spec.healthchecks.passive.unhealthy.interval",
			"spec.healthchecks.passive.unhealthy.interval must not be set.",
		},
	} {
		if check.wrong {
			return check.field, check.message
		}
	}
	return "", ""
}

// inputs counts what a hash is to be calculated of.
func inputs(h *kongv1beta1.KongUpstreamHash, cookies bool) int {
	if h == nil {
		return 0
	}
	n := 0
	for _, set := range []bool{h.Input != nil, h.Header != nil, h.QueryArg != nil, h.URICapture != nil, cookies && h.Cookie != nil} {
		if set {
			n++
		}
	}
	return n
}

func onlyNone(h *kongv1beta1.KongUpstreamHash) bool {
	return h != nil && h.Input != nil && *h.Input == inputNone && inputs(h, true) == 1 && h.CookiePath == nil
}

func passive(spec *kongv1beta1.KongUpstreamPolicySpec) kongv1beta1.KongUpstreamPassiveHealthcheck {
	if spec.Healthchecks == nil || spec.Healthchecks.Passive == nil {
		return kongv1beta1.KongUpstreamPassiveHealthcheck{}
	}
	return *spec.Healthchecks.Passive
}
