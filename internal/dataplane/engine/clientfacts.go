// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/tls"
	"net/netip"
)

// clientFacts are what does not change while a client connection lasts. All
// exchanges on it share them.
type clientFacts struct {
	peer  netip.AddrPort
	local netip.AddrPort
	// proxied is whom the peer speaks for by the PROXY protocol, invalid for
	// nobody.
	proxied netip.AddrPort
	// trusted says that the peer is one of trusted_ips.
	trusted bool
	tls     *tls.ConnectionState // nil without TLS
	sni     string
}
