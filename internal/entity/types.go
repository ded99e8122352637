// SPDX-License-Identifier: Apache-2.0

package entity

// ID is a Kong entity id: a UUID in lower-case hexadecimal form. Ids that a
// file leaves out are version 5 UUIDs of the entity's natural key, so that the
// same file always yields the same ids.
type ID string

// Kind names a collection of the declarative format, in its plural form.
type Kind string

// The kinds of the declarative format that the gateway runs.
const (
	KindService       Kind = "services"
	KindRoute         Kind = "routes"
	KindUpstream      Kind = "upstreams"
	KindTarget        Kind = "targets"
	KindPlugin        Kind = "plugins"
	KindConsumer      Kind = "consumers"
	KindConsumerGroup Kind = "consumer_groups"
	KindCredential    Kind = "credentials"
	KindCertificate   Kind = "certificates"
	KindSNI           Kind = "snis"
	KindCACertificate Kind = "ca_certificates"
	KindVault         Kind = "vaults"
)

// Protocol is a Kong route, service or plugin protocol.
type Protocol string

// Kong's protocols.
const (
	ProtocolHTTP           Protocol = "http"
	ProtocolHTTPS          Protocol = "https"
	ProtocolGRPC           Protocol = "grpc"
	ProtocolGRPCS          Protocol = "grpcs"
	ProtocolTCP            Protocol = "tcp"
	ProtocolTLS            Protocol = "tls"
	ProtocolTLSPassthrough Protocol = "tls_passthrough"
	ProtocolUDP            Protocol = "udp"
)

// Ref points to another entity by id. Files may refer by name; decoding
// resolves names to ids, so a Ref inside a Set always carries an id.
type Ref struct {
	ID ID `json:"id,omitempty"`
}

// Service is where requests of a route are proxied to.
type Service struct {
	ID                ID       `json:"id,omitempty"`
	Name              string   `json:"name,omitempty"`
	Host              string   `json:"host,omitempty"`
	Port              *int     `json:"port,omitempty"` // default 80
	Protocol          Protocol `json:"protocol,omitempty"`
	Path              string   `json:"path,omitempty"`
	Retries           *int     `json:"retries,omitempty"`         // further attempts, default 5
	ConnectTimeout    *int     `json:"connect_timeout,omitempty"` // milliseconds, default 60000
	WriteTimeout      *int     `json:"write_timeout,omitempty"`   // milliseconds, default 60000
	ReadTimeout       *int     `json:"read_timeout,omitempty"`    // milliseconds, default 60000
	ClientCertificate *Ref     `json:"client_certificate,omitempty"`
	CACertificates    []ID     `json:"ca_certificates,omitempty"`
	TLSVerify         *bool    `json:"tls_verify,omitempty"`
	TLSVerifyDepth    *int     `json:"tls_verify_depth,omitempty"`
	Enabled           *bool    `json:"enabled,omitempty"` // default true
	Tags              []string `json:"tags,omitempty"`
	CreatedAt         *int64   `json:"created_at,omitempty"` // seconds since the epoch
	UpdatedAt         *int64   `json:"updated_at,omitempty"` // seconds since the epoch
}

// Endpoint is a stream route's source or destination: an address or CIDR, a
// port, or both.
type Endpoint struct {
	IP   string `json:"ip,omitempty"`
	Port *int   `json:"port,omitempty"`
}

// Route selects requests and names the service they go to.
type Route struct {
	ID                      ID                  `json:"id,omitempty"`
	Name                    string              `json:"name,omitempty"`
	Service                 *Ref                `json:"service,omitempty"`
	Protocols               []Protocol          `json:"protocols,omitempty"` // default http, https
	Methods                 []string            `json:"methods,omitempty"`
	Hosts                   []string            `json:"hosts,omitempty"`
	Paths                   []string            `json:"paths,omitempty"`
	Headers                 map[string][]string `json:"headers,omitempty"`
	SNIs                    []string            `json:"snis,omitempty"`
	Sources                 []Endpoint          `json:"sources,omitempty"`
	Destinations            []Endpoint          `json:"destinations,omitempty"`
	Expression              string              `json:"expression,omitempty"`                 // flavor expressions
	Priority                *int64              `json:"priority,omitempty"`                   // flavor expressions
	HTTPSRedirectStatusCode *int                `json:"https_redirect_status_code,omitempty"` // default 426
	RegexPriority           *int                `json:"regex_priority,omitempty"`             // default 0
	StripPath               *bool               `json:"strip_path,omitempty"`                 // default true
	PathHandling            string              `json:"path_handling,omitempty"`              // v0 or v1, default v0
	PreserveHost            *bool               `json:"preserve_host,omitempty"`              // default false
	RequestBuffering        *bool               `json:"request_buffering,omitempty"`          // default true
	ResponseBuffering       *bool               `json:"response_buffering,omitempty"`         // default true
	Tags                    []string            `json:"tags,omitempty"`
	CreatedAt               *int64              `json:"created_at,omitempty"`
	UpdatedAt               *int64              `json:"updated_at,omitempty"`
}

// HealthStatuses is one half (healthy or unhealthy) of a health check. Counters
// of zero switch the check off; Interval is in seconds and active-only.
type HealthStatuses struct {
	Interval     *float64 `json:"interval,omitempty"`
	Successes    *int     `json:"successes,omitempty"`
	TCPFailures  *int     `json:"tcp_failures,omitempty"`
	HTTPFailures *int     `json:"http_failures,omitempty"`
	Timeouts     *int     `json:"timeouts,omitempty"`
	HTTPStatuses []int    `json:"http_statuses,omitempty"`
}

// ActiveHealthcheck probes targets. Timeout is in seconds.
type ActiveHealthcheck struct {
	Type                   string              `json:"type,omitempty"`
	Timeout                *float64            `json:"timeout,omitempty"`
	Concurrency            *int                `json:"concurrency,omitempty"`
	HTTPPath               string              `json:"http_path,omitempty"`
	HTTPSSNI               string              `json:"https_sni,omitempty"`
	HTTPSVerifyCertificate *bool               `json:"https_verify_certificate,omitempty"`
	Headers                map[string][]string `json:"headers,omitempty"`
	Healthy                *HealthStatuses     `json:"healthy,omitempty"`
	Unhealthy              *HealthStatuses     `json:"unhealthy,omitempty"`
}

// PassiveHealthcheck judges targets by the traffic they answer.
type PassiveHealthcheck struct {
	Type      string          `json:"type,omitempty"`
	Healthy   *HealthStatuses `json:"healthy,omitempty"`
	Unhealthy *HealthStatuses `json:"unhealthy,omitempty"`
}

// Healthchecks configures an upstream's health. Threshold is the percentage of
// target weight that must be available.
type Healthchecks struct {
	Threshold *float64            `json:"threshold,omitempty"`
	Active    *ActiveHealthcheck  `json:"active,omitempty"`
	Passive   *PassiveHealthcheck `json:"passive,omitempty"`
}

// Upstream is a virtual host name that balances over targets.
type Upstream struct {
	ID                     ID            `json:"id,omitempty"`
	Name                   string        `json:"name,omitempty"`
	Algorithm              string        `json:"algorithm,omitempty"` // default round-robin
	Slots                  *int          `json:"slots,omitempty"`     // default 10000
	HashOn                 string        `json:"hash_on,omitempty"`
	HashFallback           string        `json:"hash_fallback,omitempty"`
	HashOnHeader           string        `json:"hash_on_header,omitempty"`
	HashFallbackHeader     string        `json:"hash_fallback_header,omitempty"`
	HashOnCookie           string        `json:"hash_on_cookie,omitempty"`
	HashOnCookiePath       string        `json:"hash_on_cookie_path,omitempty"`
	HashOnQueryArg         string        `json:"hash_on_query_arg,omitempty"`
	HashFallbackQueryArg   string        `json:"hash_fallback_query_arg,omitempty"`
	HashOnURICapture       string        `json:"hash_on_uri_capture,omitempty"`
	HashFallbackURICapture string        `json:"hash_fallback_uri_capture,omitempty"`
	StickySessionsCookie   string        `json:"sticky_sessions_cookie,omitempty"`
	StickySessionsPath     string        `json:"sticky_sessions_cookie_path,omitempty"`
	Healthchecks           *Healthchecks `json:"healthchecks,omitempty"`
	HostHeader             string        `json:"host_header,omitempty"`
	ClientCertificate      *Ref          `json:"client_certificate,omitempty"`
	UseSRVName             *bool         `json:"use_srv_name,omitempty"`
	Tags                   []string      `json:"tags,omitempty"`
	CreatedAt              *int64        `json:"created_at,omitempty"`
	UpdatedAt              *int64        `json:"updated_at,omitempty"`
}

// Target is one address of an upstream.
type Target struct {
	ID        ID       `json:"id,omitempty"`
	Upstream  *Ref     `json:"upstream,omitempty"`
	Target    string   `json:"target,omitempty"` // host[:port], default port 8000
	Weight    *int     `json:"weight,omitempty"` // 0 to 65535, default 100
	Tags      []string `json:"tags,omitempty"`
	CreatedAt *float64 `json:"created_at,omitempty"` // Kong records fractions of a second here
	UpdatedAt *float64 `json:"updated_at,omitempty"`
}

// PluginOrdering moves a plugin before or after others in a phase.
type PluginOrdering struct {
	Before map[string][]string `json:"before,omitempty"`
	After  map[string][]string `json:"after,omitempty"`
}

// Plugin is one configured plugin. With no Ref set it is global; otherwise it
// applies where every set Ref matches.
type Plugin struct {
	ID            ID              `json:"id,omitempty"`
	Name          string          `json:"name,omitempty"`
	InstanceName  string          `json:"instance_name,omitempty"`
	Service       *Ref            `json:"service,omitempty"`
	Route         *Ref            `json:"route,omitempty"`
	Consumer      *Ref            `json:"consumer,omitempty"`
	ConsumerGroup *Ref            `json:"consumer_group,omitempty"`
	Config        map[string]any  `json:"config,omitempty"`
	Protocols     []Protocol      `json:"protocols,omitempty"`
	Enabled       *bool           `json:"enabled,omitempty"` // default true
	Ordering      *PluginOrdering `json:"ordering,omitempty"`
	Tags          []string        `json:"tags,omitempty"`
	CreatedAt     *int64          `json:"created_at,omitempty"`
	UpdatedAt     *int64          `json:"updated_at,omitempty"`
}

// Consumer is a client of the gateway.
type Consumer struct {
	ID        ID       `json:"id,omitempty"`
	Username  string   `json:"username,omitempty"`
	CustomID  string   `json:"custom_id,omitempty"`
	Groups    []Ref    `json:"groups,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	CreatedAt *int64   `json:"created_at,omitempty"`
	UpdatedAt *int64   `json:"updated_at,omitempty"`
}

// ConsumerGroup names a set of consumers that plugins can be scoped to.
type ConsumerGroup struct {
	ID        ID       `json:"id,omitempty"`
	Name      string   `json:"name,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	CreatedAt *int64   `json:"created_at,omitempty"`
	UpdatedAt *int64   `json:"updated_at,omitempty"`
}

// Credential is a credential of a consumer. Type is the declarative
// collection it comes from (keyauth_credentials, acls, jwt_secrets, …); its
// fields are described by the plugin that owns that collection.
type Credential struct {
	ID        ID             `json:"id,omitempty"`
	Type      string         `json:"type,omitempty"`
	Consumer  *Ref           `json:"consumer,omitempty"`
	Fields    map[string]any `json:"fields,omitempty"`
	Tags      []string       `json:"tags,omitempty"`
	CreatedAt *int64         `json:"created_at,omitempty"`
}

// Certificate is a PEM certificate chain with its key, and optionally a second
// pair of another key type.
type Certificate struct {
	ID        ID       `json:"id,omitempty"`
	Cert      string   `json:"cert,omitempty"`
	Key       string   `json:"key,omitempty"`
	CertAlt   string   `json:"cert_alt,omitempty"`
	KeyAlt    string   `json:"key_alt,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	CreatedAt *int64   `json:"created_at,omitempty"`
	UpdatedAt *int64   `json:"updated_at,omitempty"`
}

// SNI maps a server name to a certificate.
type SNI struct {
	ID          ID       `json:"id,omitempty"`
	Name        string   `json:"name,omitempty"`
	Certificate *Ref     `json:"certificate,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	CreatedAt   *int64   `json:"created_at,omitempty"`
	UpdatedAt   *int64   `json:"updated_at,omitempty"`
}

// CACertificate is a trusted certificate authority.
type CACertificate struct {
	ID         ID       `json:"id,omitempty"`
	Cert       string   `json:"cert,omitempty"`
	CertDigest string   `json:"cert_digest,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	CreatedAt  *int64   `json:"created_at,omitempty"`
	UpdatedAt  *int64   `json:"updated_at,omitempty"`
}

// Vault is a source of referenced secrets.
type Vault struct {
	ID          ID             `json:"id,omitempty"`
	Name        string         `json:"name,omitempty"`
	Prefix      string         `json:"prefix,omitempty"`
	Description string         `json:"description,omitempty"`
	Config      map[string]any `json:"config,omitempty"`
	Tags        []string       `json:"tags,omitempty"`
	CreatedAt   *int64         `json:"created_at,omitempty"`
	UpdatedAt   *int64         `json:"updated_at,omitempty"`
}
