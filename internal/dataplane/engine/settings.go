// SPDX-License-Identifier: Apache-2.0

// Package engine runs the gateway's HTTP data path: it owns listeners and
// connections, takes each request through router, plan and upstream, and swaps
// configurations under load.
package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/errorpage"
	"github.com/kong/kong-istio-gateway/internal/dataplane/router"
)

// Settings are the properties of the process that do not change while it runs,
// under Kong's names (https://docs.konghq.com/gateway/latest/reference/configuration/).
type Settings struct {
	// TrustedIPs are the peers whose X-Forwarded-* and real_ip_header count.
	TrustedIPs []netip.Prefix
	// RealIPHeader carries the client's address from a trusted peer. It is
	// proxy_protocol where the PROXY protocol does.
	RealIPHeader string
	// RealIPRecursive walks X-Forwarded-For past all trusted addresses.
	RealIPRecursive bool
	// Headers are the headers added to answers; HeadersUpstream those added to
	// upstream requests.
	Headers         HeaderSet
	HeadersUpstream HeaderSet
	// ErrorDefaultType is used when neither Accept nor Content-Type decides.
	ErrorDefaultType errorpage.Type
	// ErrorTemplates are the bodies of errors (error_template_html and the like).
	ErrorTemplates errorpage.Templates
	// AllowDebugHeader lets clients ask with Kong-Debug for the names of route and
	// service.
	AllowDebugHeader bool
	// ClientMaxBodySize bounds a request body in bytes, 0 for no limit.
	ClientMaxBodySize int64
	// ClientBodyBufferSize is how much of a request body is read before an
	// upstream connection is opened, in bytes.
	ClientBodyBufferSize int
	// ClientBodyBufferBudget is how many bytes of request bodies the process
	// holds at a time for that; beyond it bodies are streamed. Kong has no such
	// setting, since it writes to disk what it does not hold.
	ClientBodyBufferBudget int64
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
	// KeepaliveTimeout the wait for the next request, with 0 for one request
	// on each connection (nginx_http_*).
	ClientHeaderTimeout time.Duration
	ClientBodyTimeout   time.Duration
	// ClientBodyMinRate is the least rate of a request body, in bytes per second
	// of waiting for it once ClientBodyTimeout is used up, 0 for none.
	ClientBodyMinRate int
	SendTimeout       time.Duration
	KeepaliveTimeout  time.Duration
	// LingeringTime bounds the time for which what a client still sends is
	// discarded behind an answer, LingeringTimeout the wait for more of it.
	LingeringTime    time.Duration
	LingeringTimeout time.Duration
	// MaxHeaders bounds the number of fields in a request's head.
	MaxHeaders int
	// WorkerConnections bounds the open client connections of the process, 0 for
	// what the limit of descriptors allows.
	WorkerConnections int
	// ConnectionsPerAddress bounds those of one client address (of IPv6: of one
	// /64), 0 for no bound. Trusted peers are not bounded.
	ConnectionsPerAddress int
	// KeepaliveRequests closes a client connection after so many requests.
	KeepaliveRequests int
	// TLS are the settings of TLS.
	TLS TLSSettings
	// PortMaps maps a listener's port to the port that clients see.
	PortMaps map[uint16]uint16
	// RouterFlavor is router.Expressions for "expressions". The two traditional
	// ones are the same here; see docs/kong-differences.md.
	RouterFlavor router.Flavor
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
		ErrorTemplates:               errorpage.DefaultTemplates(),
		ClientBodyBufferSize:         8 << 10,
		ClientBodyBufferBudget:       64 << 20,
		LargeClientHeaderBuffers:     HeaderBuffers{Number: 4, Size: 8 << 10},
		UpstreamKeepalivePoolSize:    512,
		UpstreamKeepaliveMaxRequests: 10000,
		UpstreamKeepaliveIdleTimeout: 60 * time.Second,
		ClientHeaderTimeout:          60 * time.Second,
		ClientBodyTimeout:            60 * time.Second,
		SendTimeout:                  60 * time.Second,
		KeepaliveTimeout:             75 * time.Second,
		KeepaliveRequests:            10000,
		ClientBodyMinRate:            128,
		LingeringTime:                30 * time.Second,
		LingeringTimeout:             5 * time.Second,
		MaxHeaders:                   1000,
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
	{"KONG_ERROR_TEMPLATE_HTML", func(s *Settings, v string) error { return readErrorTemplate(v, errorpage.HTML, &s.ErrorTemplates) }},
	{"KONG_ERROR_TEMPLATE_JSON", func(s *Settings, v string) error { return readErrorTemplate(v, errorpage.JSON, &s.ErrorTemplates) }},
	{"KONG_ERROR_TEMPLATE_XML", func(s *Settings, v string) error { return readErrorTemplate(v, errorpage.XML, &s.ErrorTemplates) }},
	{"KONG_ERROR_TEMPLATE_PLAIN", func(s *Settings, v string) error { return readErrorTemplate(v, errorpage.Plain, &s.ErrorTemplates) }},
	{"KONG_ALLOW_DEBUG_HEADER", func(s *Settings, v string) error { return parseOnOff(v, &s.AllowDebugHeader) }},
	{"KONG_CLIENT_MAX_BODY_SIZE", func(s *Settings, v string) (err error) { s.ClientMaxBodySize, err = parseSize(v); return err }},
	{"KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE", func(s *Settings, v string) (err error) { s.ClientMaxBodySize, err = parseSize(v); return err }},
	{"KONG_NGINX_HTTP_CLIENT_BODY_BUFFER_SIZE", func(s *Settings, v string) error {
		n, err := parseSize(v)
		s.ClientBodyBufferSize = int(n)
		return err
	}},
	{"KONG_CLIENT_BODY_BUFFER_BUDGET", func(s *Settings, v string) (err error) { s.ClientBodyBufferBudget, err = parseSize(v); return err }},
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
	{"KONG_NGINX_HTTP_LINGERING_TIME", func(s *Settings, v string) error { return parseSeconds(v, &s.LingeringTime) }},
	{"KONG_NGINX_HTTP_LINGERING_TIMEOUT", func(s *Settings, v string) error { return parseSeconds(v, &s.LingeringTimeout) }},
	{"KONG_NGINX_HTTP_MAX_HEADERS", func(s *Settings, v string) error { return parseMaxHeaders(v, &s.MaxHeaders) }},
	{"KONG_NGINX_EVENTS_WORKER_CONNECTIONS", func(s *Settings, v string) error {
		if s.WorkerConnections = 0; v == "auto" {
			return nil
		}
		return parseCount(v, &s.WorkerConnections)
	}},
	// Ours: Kong has no such bounds.
	{"KONG_CLIENT_BODY_MIN_RATE", func(s *Settings, v string) error { return parseCount(v, &s.ClientBodyMinRate) }},
	{"KONG_CLIENT_CONNECTIONS_PER_ADDRESS", func(s *Settings, v string) error { return parseCount(v, &s.ConnectionsPerAddress) }},
	{"KONG_ROUTER_FLAVOR", func(s *Settings, v string) error {
		var flavor string
		if s.RouterFlavor = router.Traditional; v == "expressions" {
			s.RouterFlavor = router.Expressions
		}
		return parseOneOf(v, &flavor, "traditional", "traditional_compatible", "expressions")
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
		if server := serverName(each.name); !ok && server != "" {
			v, ok = lookup(server)
		}
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
	return slices.ContainsFunc(settings, func(s setting) bool { return s.name == name || serverName(s.name) == name })
}

// serverName is the name under which Kong puts a directive into the server
// block of the proxy instead of the http block, "" if the setting is none. What
// there is one of here has one place.
func serverName(name string) string {
	if directive, ok := strings.CutPrefix(name, "KONG_NGINX_HTTP_"); ok {
		return "KONG_NGINX_PROXY_" + directive
	}
	return ""
}
