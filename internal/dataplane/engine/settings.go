// SPDX-License-Identifier: Apache-2.0

// Package engine runs the gateway's HTTP data path: it owns listeners and
// connections, takes each request through router, plan and upstream, and swaps
// configurations under load.
package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
)

// Settings are the properties of the process that do not change while it runs,
// under Kong's names (https://docs.konghq.com/gateway/latest/reference/configuration/).
type Settings struct {
	// TrustedIPs are the peers whose X-Forwarded-* and real_ip_header count.
	TrustedIPs []netip.Prefix
	// RealIPHeader carries the client's address from a trusted peer.
	RealIPHeader string
	// RealIPRecursive walks X-Forwarded-For past all trusted addresses.
	RealIPRecursive bool
	// Headers are the headers added to answers; HeadersUpstream those added to
	// upstream requests.
	Headers         HeaderSet
	HeadersUpstream HeaderSet
	// ErrorDefaultType is used when neither Accept nor Content-Type decides.
	ErrorDefaultType errorpage.Type
	// ClientMaxBodySize bounds a request body in bytes, 0 for no limit.
	ClientMaxBodySize int64
	// ClientBodyBufferSize is how much of a request body is read before an
	// upstream connection is opened, in bytes.
	ClientBodyBufferSize int
	// LargeClientHeaderBuffers bounds a request's head: one line to Size bytes,
	// all of it to Number times as many.
	LargeClientHeaderBuffers HeaderBuffers
	// UpstreamKeepalivePoolSize bounds idle connections per target.
	UpstreamKeepalivePoolSize int
	// UpstreamKeepaliveMaxRequests retires a connection after so many requests.
	UpstreamKeepaliveMaxRequests int
	// UpstreamKeepaliveIdleTimeout closes connections that idle so long.
	UpstreamKeepaliveIdleTimeout time.Duration
	// ClientHeaderTimeout bounds the time from a request's first byte to the
	// end of its head, ClientBodyTimeout the wait between two reads of its
	// body, SendTimeout the wait between two writes of an answer, and
	// KeepaliveTimeout the wait for the next request (nginx_http_*).
	ClientHeaderTimeout time.Duration
	ClientBodyTimeout   time.Duration
	SendTimeout         time.Duration
	KeepaliveTimeout    time.Duration
	// KeepaliveRequests closes a client connection after so many requests.
	KeepaliveRequests int
	// TLS are the settings of TLS.
	TLS TLSSettings
	// PortMaps maps a listener's port to the port that clients see.
	PortMaps map[uint16]uint16
}

// HeaderBuffers is the value of nginx_http_large_client_header_buffers.
type HeaderBuffers struct {
	Number int
	Size   int // bytes
}

// HeaderSet is the value of the settings headers and headers_upstream.
type HeaderSet struct {
	ServerToken     bool
	ViaToken        bool
	UpstreamLatency bool
	ProxyLatency    bool
	ResponseLatency bool
	UpstreamStatus  bool
	RequestID       bool
}

func (h *HeaderSet) latencyTokens() {
	h.UpstreamLatency, h.ProxyLatency, h.ResponseLatency = true, true, true
}

// DefaultSettings returns Kong's defaults.
func DefaultSettings() Settings {
	return Settings{
		RealIPHeader:                 "X-Real-IP",
		Headers:                      HeaderSet{ServerToken: true, ViaToken: true, UpstreamLatency: true, ProxyLatency: true, ResponseLatency: true, RequestID: true},
		HeadersUpstream:              HeaderSet{RequestID: true},
		ErrorDefaultType:             errorpage.Plain,
		ClientBodyBufferSize:         8 << 10,
		LargeClientHeaderBuffers:     HeaderBuffers{Number: 4, Size: 8 << 10},
		UpstreamKeepalivePoolSize:    512,
		UpstreamKeepaliveMaxRequests: 10000,
		UpstreamKeepaliveIdleTimeout: 60 * time.Second,
		ClientHeaderTimeout:          60 * time.Second,
		ClientBodyTimeout:            60 * time.Second,
		SendTimeout:                  60 * time.Second,
		KeepaliveTimeout:             75 * time.Second,
		KeepaliveRequests:            10000,
		TLS:                          defaultTLSSettings(),
	}
}

// setting reads one KONG_* variable into Settings.
type setting struct {
	name string
	read func(*Settings, string) error
}

var settings = slices.Concat(httpSettings, tlsSettings)

var httpSettings = []setting{
	{"KONG_TRUSTED_IPS", func(s *Settings, v string) (err error) { s.TrustedIPs, err = parsePrefixes(v); return err }},
	{"KONG_REAL_IP_HEADER", func(s *Settings, v string) error { s.RealIPHeader = v; return nil }},
	{"KONG_REAL_IP_RECURSIVE", func(s *Settings, v string) error { return parseOnOff(v, &s.RealIPRecursive) }},
	{"KONG_HEADERS", func(s *Settings, v string) (err error) { s.Headers, err = parseHeaderSet(v); return err }},
	{"KONG_HEADERS_UPSTREAM", func(s *Settings, v string) (err error) { s.HeadersUpstream, err = parseHeaderSet(v); return err }},
	{"KONG_ERROR_DEFAULT_TYPE", func(s *Settings, v string) error {
		t, ok := errorpage.ParseType(v)
		if !ok {
			return fmt.Errorf("%q is not one of application/json, application/xml, text/html, text/plain", v)
		}
		s.ErrorDefaultType = t
		return nil
	}},
	{"KONG_CLIENT_MAX_BODY_SIZE", func(s *Settings, v string) (err error) { s.ClientMaxBodySize, err = parseSize(v); return err }},
	{"KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE", func(s *Settings, v string) (err error) { s.ClientMaxBodySize, err = parseSize(v); return err }},
	{"KONG_NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE", func(s *Settings, v string) error {
		n, err := parseSize(v)
		s.ClientBodyBufferSize = int(n)
		return err
	}},
	{"KONG_NGINX_HTTP_LARGE_CLIENT_HEADER_BUFFERS", func(s *Settings, v string) (err error) {
		s.LargeClientHeaderBuffers, err = parseHeaderBuffers(v)
		return err
	}},
	{"KONG_UPSTREAM_KEEPALIVE_POOL_SIZE", func(s *Settings, v string) error { return parseCount(v, &s.UpstreamKeepalivePoolSize) }},
	{"KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS", func(s *Settings, v string) error { return parseCount(v, &s.UpstreamKeepaliveMaxRequests) }},
	{"KONG_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT", func(s *Settings, v string) error {
		return parseSeconds(v, &s.UpstreamKeepaliveIdleTimeout)
	}},
	{"KONG_NGINX_HTTP_CLIENT_HEADER_TIMEOUT", func(s *Settings, v string) error { return parseSeconds(v, &s.ClientHeaderTimeout) }},
	{"KONG_NGINX_HTTP_CLIENT_BODY_TIMEOUT", func(s *Settings, v string) error { return parseSeconds(v, &s.ClientBodyTimeout) }},
	{"KONG_NGINX_HTTP_SEND_TIMEOUT", func(s *Settings, v string) error { return parseSeconds(v, &s.SendTimeout) }},
	{"KONG_NGINX_HTTP_KEEPALIVE_TIMEOUT", func(s *Settings, v string) error { return parseSeconds(v, &s.KeepaliveTimeout) }},
	{"KONG_NGINX_HTTP_KEEPALIVE_REQUESTS", func(s *Settings, v string) error { return parseCount(v, &s.KeepaliveRequests) }},
	{"KONG_ROUTER_FLAVOR", func(_ *Settings, v string) error {
		// One matcher serves both; see docs/kong-differences.md.
		var flavor string
		return parseOneOf(v, &flavor, "traditional", "traditional_compatible")
	}},
	{"KONG_PORT_MAPS", func(s *Settings, v string) (err error) { s.PortMaps, err = parsePortMaps(v); return err }},
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

func splitList(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func parsePrefixes(v string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, part := range splitList(v) {
		if p, err := netip.ParsePrefix(part); err == nil {
			out = append(out, p.Masked())
			continue
		}
		a, err := netip.ParseAddr(part)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an IP address nor a CIDR range", part)
		}
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

func parseHeaderSet(v string) (HeaderSet, error) {
	var h HeaderSet
	for _, part := range splitList(v) {
		switch strings.ToLower(part) {
		case "off":
		case "server_tokens":
			h.ServerToken, h.ViaToken = true, true
		case "latency_tokens":
			h.latencyTokens()
		case "server":
			h.ServerToken = true
		case "via":
			h.ViaToken = true
		case "x-kong-proxy-latency":
			h.ProxyLatency = true
		case "x-kong-response-latency":
			h.ResponseLatency = true
		case "x-kong-upstream-latency":
			h.UpstreamLatency = true
		case "x-kong-admin-latency":
			// Of Kong's Admin API, which is not served here.
		case "x-kong-upstream-status":
			h.UpstreamStatus = true
		case "x-kong-request-id":
			h.RequestID = true
		default:
			return h, fmt.Errorf("%q is not a header that the gateway adds", part)
		}
	}
	return h, nil
}

func parseOnOff(v string, into *bool) error {
	switch v {
	case "on", "true":
		*into = true
	case "off", "false":
		*into = false
	default:
		return fmt.Errorf("%q is neither on nor off", v)
	}
	return nil
}

func parseOneOf(v string, into *string, allowed ...string) error {
	for _, a := range allowed {
		if v == a {
			*into = v
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", v, strings.Join(allowed, ", "))
}

func parseCount(v string, into *int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a count", v)
	}
	*into = n
	return nil
}

// parseSize reads nginx's size notation: bytes, or a number with k, m or g.
func parseSize(v string) (int64, error) {
	unit := int64(1)
	digits := strings.ToLower(v)
	for suffix, factor := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = rest, factor
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("%q is not a size such as 512, 8k or 10m", v)
	}
	return n * unit, nil
}

// parseHeaderBuffers reads nginx's "number size".
func parseHeaderBuffers(v string) (HeaderBuffers, error) {
	const largest = 1 << 20 // of one connection's head
	fields := strings.Fields(v)
	if len(fields) == 2 {
		number, err := strconv.Atoi(fields[0])
		size, sizeErr := parseSize(fields[1])
		if err == nil && sizeErr == nil && number > 0 && size >= 1<<10 && int64(number)*size <= largest {
			return HeaderBuffers{Number: number, Size: int(size)}, nil
		}
	}
	return HeaderBuffers{}, fmt.Errorf("%q is not NUMBER SIZE such as \"4 8k\", 1k to 1m in all", v)
}

// parseSeconds reads a time in seconds, with nginx's units ms, s, m and h.
func parseSeconds(v string, into *time.Duration) error {
	if n, err := strconv.ParseFloat(v, 64); err == nil && n >= 0 {
		*into = time.Duration(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time such as 60 or 75s", v)
	}
	*into = d
	return nil
}

func parsePortMaps(v string) (map[uint16]uint16, error) {
	out := map[uint16]uint16{}
	for _, part := range splitList(v) {
		outer, inner, ok := strings.Cut(part, ":")
		o, errOuter := strconv.ParseUint(outer, 10, 16)
		i, errInner := strconv.ParseUint(inner, 10, 16)
		if !ok || errOuter != nil || errInner != nil {
			return nil, fmt.Errorf("%q is not PORT:PORT", part)
		}
		out[uint16(i)] = uint16(o)
	}
	return out, nil
}
