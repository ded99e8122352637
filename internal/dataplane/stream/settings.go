// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
)

// Settings are the properties of the process that do not change while it runs,
// under the names of Kong, which injects nginx's directives: nginx_sproxy_x is
// KONG_NGINX_SPROXY_X.
type Settings struct {
	// TrustedIPs are the peers whose PROXY header is believed.
	TrustedIPs []netip.Prefix
	// PortMaps maps a listener's port to the port that clients see, which is what
	// destinations of routes are compared with.
	PortMaps map[uint16]uint16
	// RouterFlavor says whether routes may have expressions.
	RouterFlavor router.Flavor

	// PrereadTimeout bounds the time that a ClientHello may take,
	// PrereadBufferSize its size with all that was sent before the route is known,
	// in bytes (nginx_sproxy_preread_timeout, …_buffer_size).
	PrereadTimeout    time.Duration
	PrereadBufferSize int
	// ProxyProtocolTimeout bounds the time that a PROXY header may take, and
	// SSLHandshakeTimeout that of a TLS handshake after its first message.
	ProxyProtocolTimeout time.Duration
	SSLHandshakeTimeout  time.Duration
	// ProxyResponses is how many datagrams the upstream answers to each of the
	// client's: a UDP session ends when all were sent on. Negative: any number.
	ProxyResponses int
	// ProxyRequests is after how many of its datagrams a client gets a new
	// session, 0 for never.
	ProxyRequests int
	// WorkerConnections bounds the sessions, those of TCP and those of UDP each
	// (nginx_events_worker_connections).
	WorkerConnections int
}

// defaultConnections is what Kong makes of "auto".
const defaultConnections = 16384

// DefaultSettings returns the defaults of Kong and nginx.
func DefaultSettings() Settings {
	return Settings{
		PrereadTimeout:       30 * time.Second,
		PrereadBufferSize:    16 << 10,
		ProxyProtocolTimeout: 30 * time.Second,
		SSLHandshakeTimeout:  60 * time.Second,
		ProxyResponses:       -1,
		WorkerConnections:    defaultConnections,
	}
}

// setting reads one KONG_* variable into Settings.
type setting struct {
	name string
	read func(*Settings, string) error
}

var settings = []setting{
	{"KONG_NGINX_SPROXY_PREREAD_TIMEOUT", func(s *Settings, v string) error { return parseTime(v, &s.PrereadTimeout) }},
	{"KONG_NGINX_SPROXY_PREREAD_BUFFER_SIZE", func(s *Settings, v string) error { return parseBuffer(v, &s.PrereadBufferSize) }},
	{"KONG_NGINX_SPROXY_PROXY_PROTOCOL_TIMEOUT", func(s *Settings, v string) error { return parseTime(v, &s.ProxyProtocolTimeout) }},
	{"KONG_NGINX_SPROXY_SSL_HANDSHAKE_TIMEOUT", func(s *Settings, v string) error { return parseTime(v, &s.SSLHandshakeTimeout) }},
	{"KONG_NGINX_SPROXY_PROXY_RESPONSES", func(s *Settings, v string) error { return parseCount(v, 0, &s.ProxyResponses) }},
	{"KONG_NGINX_SPROXY_PROXY_REQUESTS", func(s *Settings, v string) error { return parseCount(v, 0, &s.ProxyRequests) }},
	{"KONG_NGINX_EVENTS_WORKER_CONNECTIONS", func(s *Settings, v string) error {
		if v == "auto" {
			return nil
		}
		return parseCount(v, 1, &s.WorkerConnections)
	}},
}

// ReadSettings returns the defaults overridden by the KONG_* variables that
// lookup finds. The error names each variable that cannot be read.
func ReadSettings(lookup func(string) (string, bool)) (Settings, error) {
	s := DefaultSettings()
	var problems []string
	for _, each := range settings {
		v, ok := lookup(each.name)
		if !ok {
			continue
		}
		if err := each.read(&s, strings.TrimSpace(v)); err != nil {
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

func parseCount(v string, lowest int, into *int) error {
	const highest = 1 << 30
	n, err := strconv.Atoi(v)
	if err != nil || n < lowest || n > highest {
		return fmt.Errorf("%q is not a count of %d or more", v, lowest)
	}
	*into = n
	return nil
}

// parseTime reads a time in seconds, or one with a unit.
func parseTime(v string, into *time.Duration) error {
	d, err := time.ParseDuration(v)
	if seconds, plain := strconv.ParseUint(v, 10, 31); plain == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a time such as 30 or 500ms", v)
	}
	*into = d
	return nil
}

// parseBuffer reads a size in nginx's notation.
func parseBuffer(v string, into *int) error {
	const smallest, largest = 1 << 10, 1 << 20
	digits, unit := v, 1
	switch {
	case strings.HasSuffix(v, "k"), strings.HasSuffix(v, "K"):
		digits, unit = v[:len(v)-1], 1<<10
	case strings.HasSuffix(v, "m"), strings.HasSuffix(v, "M"):
		digits, unit = v[:len(v)-1], 1<<20
	}
	n, err := strconv.ParseUint(digits, 10, 21)
	if size := int(n) * unit; err == nil && size >= smallest && size <= largest {
		*into = size
		return nil
	}
	return fmt.Errorf("%q is not a size from 1k to 1m", v)
}

func (s *Settings) trusted(peer netip.Addr) bool {
	return slices.ContainsFunc(s.TrustedIPs, func(p netip.Prefix) bool { return p.Contains(peer) })
}

func (s *Settings) visiblePort(local uint16) uint16 {
	if outer, ok := s.PortMaps[local]; ok {
		return outer
	}
	return local
}
