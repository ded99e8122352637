// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Exchange is one HTTP request and its answer, as a plugin sees them.
type Exchange interface {
	// Context ends when the client leaves or the exchange is over, and carries
	// the deadline of the exchange where there is one.
	Context() context.Context
	// Keep copies a view so that it may outlive the phase.
	Keep(view string) string

	// Client returns who sent the request.
	Client() *Client
	// Request returns the request line as the client sent it. It never changes.
	Request() *Request
	// Header returns the request's headers as they will be sent upstream:
	// changes made here are seen by later plugins and by the upstream.
	Header() Header
	// Upstream returns the request that will be sent, open to changes until
	// the access phase ends.
	Upstream() *Upstream
	// Body returns the request body; complete is false when it was not read as
	// a whole (no plugin asked for it through Needs).
	Body() (data []byte, complete bool)
	// SetBody replaces the request body. The engine keeps body until the
	// exchange is over.
	SetBody(body []byte)

	// Route returns the matched route, nil before the access phase and where
	// none matched.
	Route() *entity.Route
	// Service returns the route's service, nil without one.
	Service() *entity.Service
	// Captures returns the groups of the route's regex path by their number, the
	// first being 0, what the path matched as a whole. A named group has its name
	// as well.
	Captures() []Capture
	// Identity returns who was authenticated; the zero value before that.
	Identity() Identity
	// Authenticate records who was authenticated. It decides which instances of
	// later plugins apply.
	Authenticate(Identity)
	// Directory looks up consumers and credentials of the running snapshot.
	Directory() Directory

	// Exit ends the access (or rewrite) phase with an answer made here. Later
	// plugins' Access is not called, their response phases are.
	Exit(Reply)
	// Exited reports whether a plugin ended the exchange through Exit.
	Exited() bool
	// Response returns the answer. It is valid from Response or HeaderFilter on.
	Response() *Response

	// Value returns what was stored under the slot, nil if nothing.
	Value(Slot) any
	// SetValue stores a value for the rest of the exchange.
	SetValue(Slot, any)

	// Marks returns the time marks of the exchange.
	Marks() *Marks
	// Tries returns the attempts to reach an upstream so far.
	Tries() []Try
	// ID returns the request id: 32 lower-case hexadecimal digits.
	ID() string
}

// Client tells where a request came from.
type Client struct {
	// Peer is the address at the other end of the connection.
	Peer netip.AddrPort
	// IP is the client's address after the trusted headers (real_ip_header) or
	// the PROXY protocol were applied.
	IP netip.Addr
	// Port is the port that belongs to IP, 0 if unknown.
	Port uint16
	// Local is our end of the connection.
	Local netip.AddrPort
	// TLS is nil on plaintext connections.
	TLS *tls.ConnectionState
	// Trusted reports whether Peer is one of trusted_ips.
	Trusted bool
	// ForwardedScheme, ForwardedHost and ForwardedPort are what the client
	// addressed, after trusted X-Forwarded-* headers.
	ForwardedScheme string
	ForwardedHost   string
	ForwardedPort   uint16
}

// Request is the request line as the client sent it.
type Request struct {
	Method string
	// Scheme is http or https.
	Scheme string
	// Authority is the Host header or :authority, verbatim.
	Authority string
	// Host is the authority's host, lower-case, without port.
	Host string
	// Target is the request target, verbatim.
	Target string
	// Path is the target's path, not normalised.
	Path string
	// Query is the raw query without "?"; HasQuery tells an empty one from none.
	Query    string
	HasQuery bool
	// Major and Minor are the HTTP version.
	Major, Minor int
	// Size is the number of bytes of the request: head and body as read so far.
	Size int64
}

// Header is an ordered list of fields. Names are compared without regard to
// case; views follow the ownership rule of the package.
type Header interface {
	// Get returns the first value of name, "" when absent.
	Get(name string) string
	// Has reports whether name is present.
	Has(name string) bool
	// Values appends all values of name to dst.
	Values(dst []string, name string) []string
	// Set replaces all values of name by one.
	Set(name, value string)
	// Add appends a value.
	Add(name, value string)
	// Del removes all values of name.
	Del(name string)
	// Each calls yield for each field in order until it returns false.
	Each(yield func(name, value string) bool)
	// Len returns the number of fields.
	Len() int
}

// Upstream is the request that will be sent. A plugin that sets Host and Port
// takes the choice of the target away from the balancer.
type Upstream struct {
	Scheme string
	// Host and Port name the target; a Host that is an upstream entity's name
	// is balanced over its targets.
	Host string
	Port int
	// Authority is the Host header that will be sent; "" leaves the choice to
	// the route's preserve_host and the upstream's host_header.
	Authority string
	Method    string
	// Path and Query are sent as they are, behind a "/" that Path lacks. Query has
	// no leading "?".
	Path     string
	Query    string
	HasQuery bool
	// BodyLimit is how many bytes of request body may be sent on, 0 for any
	// number. It is for bodies whose size is not known before they were read;
	// more is refused with 413.
	BodyLimit int64
	// Proxy, when set, is the forward proxy the request goes through.
	Proxy *ForwardProxy
	// TLS settings that override the service's.
	TLSVerify *bool
	SNI       string
}

// ForwardProxy is a proxy between the gateway and the upstream.
type ForwardProxy struct {
	Host, Username, Password string
	Port                     int
	TLS                      bool
}

// Capture is one group of a regex path.
type Capture struct {
	Name  string // "" for a group without a name
	Value string
}

// Identity is who a request was authenticated as.
type Identity struct {
	Consumer   *entity.Consumer
	Credential *entity.Credential
	// CredentialID names credentials that are no entity (LDAP, sessions).
	CredentialID string
	Groups       []*entity.ConsumerGroup
	// Anonymous is set when the anonymous consumer stood in.
	Anonymous bool
}

// Directory looks up identities in the running snapshot.
type Directory interface {
	// Consumer finds a consumer by id, nil if there is none.
	Consumer(id entity.ID) *entity.Consumer
	// ConsumerByName finds a consumer by username, nil if there is none.
	ConsumerByName(username string) *entity.Consumer
	// Groups returns a consumer's groups in alphabetical order of name.
	Groups(c *entity.Consumer) []*entity.ConsumerGroup
	// Credential finds a credential of a type (a declarative collection such
	// as keyauth_credentials) by its unique key, nil if there is none.
	Credential(collection, key string) *entity.Credential
	// Holder is Credential together with the consumer that the credential
	// belongs to; the latter is nil when there is none.
	Holder(collection, key string) (*entity.Credential, *entity.Consumer)
	// Credentials returns a consumer's credentials of a type.
	Credentials(collection string, consumer entity.ID) []*entity.Credential
}

// Reply is an answer made by a plugin.
type Reply struct {
	Status int
	// Header holds the answer's fields as name, value pairs.
	Header []Field
	// Body is sent as it is. When it is nil and Message is set, the body is
	// Kong's error template for Message in the type that the client accepts.
	Body    []byte
	Message string
	// Proxied marks an answer that counts as the upstream's (a cache hit).
	Proxied bool
}

// Field is one header field.
type Field struct{ Name, Value string }

// Source tells who made an answer.
type Source uint8

// The makers of an answer, in Kong's terms.
const (
	SourceUpstream Source = iota // service
	SourceExit                   // a plugin's Exit
	SourceError                  // the gateway itself
)

// Response is the answer that goes to the client.
type Response struct {
	Status int
	Header Header
	// Trailer is nil until the body was read, and where there is none.
	Trailer Header
	Source  Source
	// Body is the whole body in the Response phase, nil otherwise.
	Body []byte
	// Size is the number of bytes sent to the client, head included; final in
	// the log phase.
	Size int64
}

// Marks are the points in time of an exchange, read once each. A zero mark was
// not reached.
type Marks struct {
	Start      time.Time // first byte of the request
	Access     time.Time // route matched
	AccessDone time.Time // access phase over
	Sent       time.Time // connection to the upstream chosen
	FirstByte  time.Time // head of the upstream's answer read
	End        time.Time // answer sent
}

// Try is one attempt to reach an upstream.
type Try struct {
	Address   netip.AddrPort
	Started   time.Time
	Latency   time.Duration // time the balancer needed to choose
	Failure   string        // "" on success, else failed or next as Kong logs it
	Status    int           // answer's status; without an answer 502, or 504 when it took too long; 0 when the client left
	Reused    bool          // a kept-alive connection was used
	TargetID  entity.ID
	BytesSent int64
}

// Session is one L4 connection or UDP association.
type Session interface {
	// Context ends when the session is over or cut off.
	Context() context.Context
	// Client returns who opened the session. Its TLS is set where the gateway
	// terminates TLS; the Forwarded fields are those of the connection.
	Client() *Client
	// Protocol is tcp, tls (terminated here), tls_passthrough or udp.
	Protocol() entity.Protocol
	// SNI is the server name of a TLS ClientHello, "" without one.
	SNI() string
	// Route returns the matched route.
	Route() *entity.Route
	// Service returns the route's service, nil without one.
	Service() *entity.Service
	// Abort closes the session without connecting. Later plugins' Preread is not
	// called, their StreamLog is.
	Abort()
	// SetTarget overrides the target, as Upstream.Host and Port do.
	SetTarget(host string, port int)
	// Value returns what was stored under the slot, nil if nothing.
	Value(Slot) any
	// SetValue stores a value for the rest of the session.
	SetValue(Slot, any)
	// Marks returns the time marks: Start when the session was accepted, Access
	// and AccessDone around Preread, Sent when it was connected, End.
	Marks() *Marks
	// Tries returns the attempts to reach an upstream so far.
	Tries() []Try
	// Status is how the session ended, in the terms of nginx's stream module: 200,
	// 400, 403, 500, 502 or 503; final in StreamLog.
	Status() int
	// Received and Sent count bytes from and to the client, UpstreamReceived and
	// UpstreamSent those from and to the upstream; final in StreamLog.
	Received() int64
	Sent() int64
	UpstreamReceived() int64
	UpstreamSent() int64
}
