// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"fmt"
	"net/netip"
	"slices"
)

// The ports of the Istio sidecar and of istiod
// (istio.io/latest/docs/ops/deployment/application-requirements).
const (
	firstSidecarPort = 15000
	lastSidecarPort  = 15090
)

// Policy says which addresses must not be dialled. It is immutable; a nil
// Policy lets everything through.
type Policy struct {
	own []netip.Addr
}

// NewPolicy returns the policy of a gateway whose configuration comes from
// others: it refuses loopback, link-local (which holds the cloud's metadata
// service), multicast and unspecified addresses, the given addresses of the pod
// itself, and the ports of the sidecar and of istiod on any address.
func NewPolicy(own []netip.Addr) *Policy {
	p := &Policy{}
	for _, a := range own {
		p.own = append(p.own, a.Unmap().WithZone(""))
	}
	return p
}

// thisNetwork is 0.0.0.0/8 (RFC 791): Linux connects some of it to the host.
var thisNetwork = netip.MustParsePrefix("0.0.0.0/8")

// Check returns why the address is refused, or nil.
func (p *Policy) Check(a netip.AddrPort) error {
	if p == nil {
		return nil
	}
	addr := a.Addr().Unmap().WithZone("")
	switch {
	case !addr.IsValid(), addr.IsUnspecified(), thisNetwork.Contains(addr):
		return fmt.Errorf("%s is an unspecified address", addr)
	case addr.IsLoopback():
		return fmt.Errorf("%s is a loopback address", addr)
	case addr.IsLinkLocalUnicast():
		return fmt.Errorf("%s is a link-local address", addr)
	case addr.IsMulticast():
		return fmt.Errorf("%s is a multicast address", addr)
	case slices.Contains(p.own, addr):
		return fmt.Errorf("%s is an address of this pod", addr)
	case a.Port() >= firstSidecarPort && a.Port() <= lastSidecarPort:
		return fmt.Errorf("port %d belongs to the service mesh", a.Port())
	}
	return nil
}
