// SPDX-License-Identifier: Apache-2.0

package typedefs

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Address is a host as Kong's fields hold it.
type Address struct {
	Host    string // without brackets and port
	Port    int
	HasPort bool
	IsIP    bool
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$`)

// ParseAddress splits host[:port]. IPv6 addresses may be bare, when there is
// no port, or in brackets.
func ParseAddress(s string) (Address, bool) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return Address{Host: s, IsIP: true}, true
	}
	host, port, hasPort := splitPort(s)
	a := Address{Host: host, HasPort: hasPort}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return Address{}, false
		}
		a.Port = int(n)
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		a.Host, a.IsIP = inner, true
		return a, ok && err == nil && ip.Is6() && ip.Zone() == ""
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		a.IsIP = true
		return a, ip.Is4()
	}
	return a, isHostName(host)
}

func splitPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// isHostName follows Kong: letters, digits, hyphens, underscores and dots, no
// empty label, no label that begins or ends with a hyphen, and not only digits
// and dots, which would be a broken IPv4 address.
func isHostName(s string) bool {
	if len(s) > 253 || !hostName.MatchString(s) || strings.Trim(s, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// WithPort returns host:port, with brackets around IPv6 addresses.
func (a Address) WithPort(port int) string {
	return net.JoinHostPort(a.Host, strconv.Itoa(port))
}
