// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Config says whom to ask and how long to believe it. Zero durations mean the
// defaults, which are Kong's.
type Config struct {
	Servers  []string // host:port, asked in this order
	Search   []string // search domains
	Ndots    int      // names with at least so many dots are tried as they are first
	Attempts int      // rounds over the servers, default 2
	Timeout  time.Duration

	// Order is the record types to ask for until one has an answer (Kong's
	// dns_order): "SRV", "A", "AAAA", and "LAST" for what had one the last time. By
	// default "LAST", "SRV", "A", "AAAA".
	Order []string

	Hosts map[string][]netip.Addr // the hosts file: lower-case name to addresses

	ValidTTL    time.Duration // overrides the TTL of answers (dns_valid_ttl)
	StaleTTL    time.Duration // how long an expired answer is used (dns_stale_ttl), default 1 h
	NotFoundTTL time.Duration // longest time for "no such name" (dns_not_found_ttl), default 30 s
	ErrorTTL    time.Duration // how long a failure is believed (dns_error_ttl), default 1 s

	MaxEntries int              // names in the cache (dns_cache_size), default 10000
	Now        func() time.Time // the clock, default time.Now
}

// defaultOrder is Kong's, and AAAA for names that have nothing else.
var defaultOrder = []string{"LAST", "SRV", "A", "AAAA"}

func (c *Config) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Timeout, 2*time.Second)
	def(&c.StaleTTL, time.Hour)
	def(&c.NotFoundTTL, 30*time.Second)
	def(&c.ErrorTTL, time.Second)
	if c.Attempts == 0 {
		c.Attempts = 2
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = 10000
	}
	if len(c.Order) == 0 {
		c.Order = defaultOrder
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// SystemConfig reads a resolv.conf and a hosts file; an absent file is empty.
func SystemConfig(resolvConf, hosts string) (Config, error) {
	var c Config
	rc, err := dns.ClientConfigFromFile(resolvConf)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		rc = &dns.ClientConfig{Ndots: 1}
	case err != nil:
		return c, fmt.Errorf("resolver: %s: %w", resolvConf, err)
	}
	for _, s := range rc.Servers {
		c.Servers = append(c.Servers, net.JoinHostPort(s, rc.Port))
	}
	c.Search, c.Ndots, c.Attempts = rc.Search, rc.Ndots, rc.Attempts
	c.Timeout = time.Duration(rc.Timeout) * time.Second
	f, err := os.Open(hosts)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("resolver: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if c.Hosts, err = ParseHosts(f); err != nil {
		return c, fmt.Errorf("resolver: %s: %w", hosts, err)
	}
	return c, nil
}

// ParseHosts reads the format of hosts(5). Lines that do not begin with an
// address are skipped, as the C library does.
func ParseHosts(r io.Reader) (map[string][]netip.Addr, error) {
	out := map[string][]netip.Addr{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = canonical(name)
			out[name] = append(out[name], addr)
		}
	}
	return out, lines.Err()
}

// canonical lowers a name and drops the final dot.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// candidates are the absolute names to ask for, in order (resolv.conf(5)).
func (c *Config) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{strings.ToLower(name)}
	}
	name = strings.ToLower(name)
	var out []string
	for _, s := range c.Search {
		if s = canonical(s); s != "" {
			out = append(out, name+"."+s+".")
		}
	}
	if strings.Count(name, ".") >= c.Ndots {
		return append([]string{name + "."}, out...)
	}
	return append(out, name+".")
}
