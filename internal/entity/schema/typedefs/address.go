// SPDX-License-Identifier: Apache-2.0

package typedefs

import (
	"net"
	"net/netip"
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

// ParseAddress splits host[:port]. IPv6 addresses may be bare, when there is
// no port, or in brackets.
func ParseAddress(s string) (Address, bool) {
	if ip, ok := parseIP(s); ok && ip.Zone() == "" {
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
		ip, isIP := parseIP(inner)
		a.Host, a.IsIP = inner, true
		return a, ok && isIP && ip.Is6() && ip.Zone() == ""
	}
	if ip, ok := parseIP(host); ok {
		a.IsIP = true
		return a, ip.Is4()
	}
	return a, isHostName(host)
}

// parseIP is netip.ParseAddr, which says at length why a host name is none.
func parseIP(s string) (netip.Addr, bool) {
	if strings.IndexByte(s, ':') < 0 && !isDotted(s) {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(s)
	return ip, err == nil
}

// isDotted reports whether s is made of nothing but digits and dots.
func isDotted(s string) bool { return strings.Trim(s, "0123456789.") == "" }

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
	if len(s) > 253 || isDotted(s) {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isAlphanumeric(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// WithPort returns host:port, with brackets around IPv6 addresses.
func (a Address) WithPort(port int) string {
	return net.JoinHostPort(a.Host, strconv.Itoa(port))
}
