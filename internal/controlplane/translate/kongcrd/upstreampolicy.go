// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// UpstreamPolicyRef names a KongUpstreamPolicy.
func UpstreamPolicyRef(p *kongv1beta1.KongUpstreamPolicy) fragment.ObjectRef {
	return fragment.RefOf(kongv1beta1.GroupVersion.Group, kongv1beta1.GroupVersion.Version, "KongUpstreamPolicy", p)
}

// ApplyUpstreamPolicy sets the fields of an upstream that a KongUpstreamPolicy
// describes. What the policy does not say stays as it is.
func ApplyUpstreamPolicy(spec *kongv1beta1.KongUpstreamPolicySpec, u *entity.Upstream) {
	set(&u.Algorithm, spec.Algorithm)
	if spec.Slots != nil {
		u.Slots = spec.Slots
	}
	// Of no input nothing is sent: Kong takes an explicit "none" for the wish to
	// have no algorithm but round-robin.
	if on := spec.HashOn; on != nil && spec.StickySessions == nil {
		u.HashOn = hashKind(on, u.HashOn)
		set(&u.HashOnHeader, on.Header)
		set(&u.HashOnCookie, on.Cookie)
		set(&u.HashOnCookiePath, on.CookiePath)
		set(&u.HashOnQueryArg, on.QueryArg)
		set(&u.HashOnURICapture, on.URICapture)
	}
	if fallback := spec.HashOnFallback; fallback != nil {
		u.HashFallback = hashKind(fallback, u.HashFallback)
		set(&u.HashFallbackHeader, fallback.Header)
		set(&u.HashFallbackQueryArg, fallback.QueryArg)
		set(&u.HashFallbackURICapture, fallback.URICapture)
	}
	if sticky := spec.StickySessions; sticky != nil {
		u.StickySessionsCookie = sticky.Cookie
		set(&u.StickySessionsPath, sticky.CookiePath)
	}
	if spec.Healthchecks != nil {
		u.Healthchecks = healthchecks(spec.Healthchecks)
	}
}

func set(field, value *string) {
	if value != nil {
		*field = *value
	}
}

// hashKind names what is hashed: Kong has a field for the kind, the policy one
// for each.
func hashKind(h *kongv1beta1.KongUpstreamHash, fallback string) string {
	switch {
	case h.Input != nil:
		return string(*h.Input)
	case h.Header != nil:
		return "header"
	case h.Cookie != nil:
		return "cookie"
	case h.QueryArg != nil:
		return "query_arg"
	case h.URICapture != nil:
		return "uri_capture"
	}
	return fallback
}

func healthchecks(h *kongv1beta1.KongUpstreamHealthcheck) *entity.Healthchecks {
	out := &entity.Healthchecks{Threshold: seconds(h.Threshold)}
	if a := h.Active; a != nil {
		out.Active = &entity.ActiveHealthcheck{
			Timeout: seconds(a.Timeout), Concurrency: a.Concurrency, HTTPSVerifyCertificate: a.HTTPSVerifyCertificate,
			Headers: a.Headers, Healthy: healthy(a.Healthy), Unhealthy: unhealthy(a.Unhealthy),
		}
		set(&out.Active.Type, a.Type)
		set(&out.Active.HTTPPath, a.HTTPPath)
		set(&out.Active.HTTPSSNI, a.HTTPSSNI)
	}
	if p := h.Passive; p != nil {
		out.Passive = &entity.PassiveHealthcheck{Healthy: healthy(p.Healthy), Unhealthy: unhealthy(p.Unhealthy)}
		set(&out.Passive.Type, p.Type)
	}
	return out
}

func healthy(h *kongv1beta1.KongUpstreamHealthcheckHealthy) *entity.HealthStatuses {
	if h == nil {
		return nil
	}
	return &entity.HealthStatuses{Interval: seconds(h.Interval), Successes: h.Successes, HTTPStatuses: statuses(h.HTTPStatuses)}
}

func unhealthy(h *kongv1beta1.KongUpstreamHealthcheckUnhealthy) *entity.HealthStatuses {
	if h == nil {
		return nil
	}
	return &entity.HealthStatuses{
		Interval: seconds(h.Interval), TCPFailures: h.TCPFailures, HTTPFailures: h.HTTPFailures, Timeouts: h.Timeouts,
		HTTPStatuses: statuses(h.HTTPStatuses),
	}
}

func statuses(list []kongv1beta1.HTTPStatus) []int {
	if list == nil {
		return nil
	}
	out := make([]int, len(list))
	for i, s := range list {
		out[i] = int(s)
	}
	return out
}

// seconds turns the whole numbers of the API into Kong's.
func seconds(n *int) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}
