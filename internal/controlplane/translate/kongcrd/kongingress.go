// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"encoding/json"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// KongIngressRef names a KongIngress.
func KongIngressRef(k *kongv1.KongIngress) fragment.ObjectRef {
	return fragment.RefOf(kongv1.GroupVersion.Group, kongv1.GroupVersion.Version, "KongIngress", k)
}

// ApplyKongIngress sets the fields of an upstream that a KongIngress describes.
// What it does not say stays as it is. hostOnly leaves out how requests are
// balanced and targets watched. It fails when the health checks do not fit
// Kong's, and then has changed nothing that counts.
func ApplyKongIngress(k *kongv1.KongIngressUpstream, u *entity.Upstream, hostOnly bool) error {
	set(&u.HostHeader, k.HostHeader)
	if hostOnly {
		return nil
	}
	set(&u.Algorithm, k.Algorithm)
	if k.Slots != nil {
		u.Slots = k.Slots
	}
	set(&u.HashOn, k.HashOn)
	set(&u.HashFallback, k.HashFallback)
	set(&u.HashOnHeader, k.HashOnHeader)
	set(&u.HashFallbackHeader, k.HashFallbackHeader)
	set(&u.HashOnCookie, k.HashOnCookie)
	set(&u.HashOnCookiePath, k.HashOnCookiePath)
	set(&u.HashOnQueryArg, k.HashOnQueryArg)
	set(&u.HashFallbackQueryArg, k.HashFallbackQueryArg)
	set(&u.HashOnURICapture, k.HashOnURICapture)
	set(&u.HashFallbackURICapture, k.HashFallbackURICapture)
	if k.Healthchecks == nil {
		return nil
	}
	// Both types are those of Kong's declarative format.
	data, err := json.Marshal(k.Healthchecks)
	if err != nil {
		return err
	}
	u.Healthchecks = new(entity.Healthchecks)
	return json.Unmarshal(data, u.Healthchecks)
}

// BalancesUpstream reports whether a KongIngress says more of an upstream than
// its Host header.
func BalancesUpstream(k *kongv1.KongIngressUpstream) bool {
	rest := *k
	rest.HostHeader = nil
	return rest != kongv1.KongIngressUpstream{}
}
