// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are Kong's dns_* properties. The zero value is Kong's defaults.
type Settings struct {
	// Servers replace those of resolv.conf (dns_resolver), host:port.
	Servers []string
	// HostsFile is read in place of /etc/hosts (dns_hostsfile).
	HostsFile string
	// What follows is as in Config.
	Order                                     []string
	ValidTTL, StaleTTL, NotFoundTTL, ErrorTTL time.Duration
	MaxEntries                                int
}

// setting reads one KONG_* variable into Settings.
type setting struct {
	name string
	read func(*Settings, string) error
}

var settings = []setting{
	{"KONG_DNS_RESOLVER", readServers},
	{"KONG_DNS_HOSTSFILE", func(s *Settings, v string) error { s.HostsFile = v; return nil }},
	{"KONG_DNS_ORDER", readOrder},
	{"KONG_DNS_VALID_TTL", func(s *Settings, v string) error { return readSeconds(v, &s.ValidTTL) }},
	{"KONG_DNS_STALE_TTL", func(s *Settings, v string) error { return readSeconds(v, &s.StaleTTL) }},
	{"KONG_DNS_NOT_FOUND_TTL", func(s *Settings, v string) error { return readSeconds(v, &s.NotFoundTTL) }},
	{"KONG_DNS_ERROR_TTL", func(s *Settings, v string) error { return readSeconds(v, &s.ErrorTTL) }},
	{"KONG_DNS_CACHE_SIZE", func(s *Settings, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a number of names", v)
		}
		s.MaxEntries = n
		return nil
	}},
}

// ReadSettings returns the settings that lookup finds; an empty one is as good
// as none. The error names each variable that cannot be read.
func ReadSettings(lookup func(string) (string, bool)) (Settings, error) {
	var s Settings
	var problems []string
	for _, each := range settings {
		v, _ := lookup(each.name)
		if v = strings.TrimSpace(v); v == "" {
			continue
		}
		if err := each.read(&s, v); err != nil {
			problems = append(problems, each.name+": "+err.Error())
		}
	}
	if len(problems) > 0 {
		return s, fmt.Errorf("settings: %s", strings.Join(problems, "; "))
	}
	return s, nil
}

// ReadsSetting reports whether ReadSettings knows a variable.
func ReadsSetting(name string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.name == name })
}

// Config is that of the system, with the settings put over it.
func (s Settings) Config(resolvConf, hosts string) (Config, error) {
	c, err := SystemConfig(resolvConf, cmp.Or(s.HostsFile, hosts))
	if len(s.Servers) > 0 {
		c.Servers = s.Servers
	}
	c.Order = s.Order
	c.ValidTTL, c.StaleTTL, c.NotFoundTTL, c.ErrorTTL = s.ValidTTL, s.StaleTTL, s.NotFoundTTL, s.ErrorTTL
	c.MaxEntries = s.MaxEntries
	return c, err
}

func readServers(s *Settings, v string) error {
	for part := range strings.SplitSeq(v, ",") {
		part = strings.TrimSpace(part)
		if a, err := netip.ParseAddr(strings.Trim(part, "[]")); err == nil {
			s.Servers = append(s.Servers, net.JoinHostPort(a.String(), "53"))
			continue
		}
		a, err := netip.ParseAddrPort(part)
		if err != nil {
			return fmt.Errorf("%q is neither an address nor address:port", part)
		}
		s.Servers = append(s.Servers, a.String())
	}
	return nil
}

func readOrder(s *Settings, v string) error {
	for part := range strings.SplitSeq(v, ",") {
		switch part = strings.ToUpper(strings.TrimSpace(part)); part {
		case "LAST", "SRV", "A", "AAAA":
			s.Order = append(s.Order, part)
		case "CNAME": // is followed wherever it comes
		default:
			return fmt.Errorf("%q is not one of LAST, SRV, A, AAAA, CNAME", part)
		}
	}
	if !slices.ContainsFunc(s.Order, func(t string) bool { return t != "LAST" }) {
		return fmt.Errorf("%q asks for no addresses; add A", v)
	}
	return nil
}

// readSeconds reads a duration, of which 0 is the shortest there is.
func readSeconds(v string, into *time.Duration) error {
	seconds, err := strconv.ParseFloat(v, 64)
	if err != nil || seconds < 0 || seconds > 1e9 {
		return fmt.Errorf("%q is not a number of seconds", v)
	}
	*into = max(time.Nanosecond, time.Duration(seconds*float64(time.Second)))
	return nil
}
