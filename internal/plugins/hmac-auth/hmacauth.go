// SPDX-License-Identifier: Apache-2.0

// Package hmacauth authenticates consumers by a signature over parts of the
// request (https://docs.konghq.com/hub/kong-inc/hmac-auth/). It keeps no state.
package hmacauth

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // one of the algorithms that the plugin offers
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/auth"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 1030, Configure: configure}

const (
	name       = "hmac-auth"
	collection = "hmacauth_credentials"
	// bodyLimit bounds the request bodies whose digest is checked.
	bodyLimit = 32 << 20

	needsDate  = "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication"
	unverified = "HMAC signature cannot be verified"
	mismatch   = "HMAC signature does not match"
)

var algorithms = map[string]func() hash.Hash{
	"hmac-sha1": sha1.New, "hmac-sha256": sha256.New, "hmac-sha384": sha512.New384, "hmac-sha512": sha512.New,
}

type config struct {
	HideCredentials     bool     `json:"hide_credentials"`
	ClockSkew           float64  `json:"clock_skew"` // seconds
	Anonymous           string   `json:"anonymous"`
	ValidateRequestBody bool     `json:"validate_request_body"`
	EnforceHeaders      []string `json:"enforce_headers"`
	Algorithms          []string `json:"algorithms"`
	Realm               string   `json:"realm"`

	challenge string
	log       *slog.Logger
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{log: c.Host.Logger(name)}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	conf.challenge = auth.Challenge("hmac", conf.Realm)
	phases := &plugin.Phases{Access: func(x plugin.Exchange) { auth.Run(x, conf.Anonymous, conf.log, conf.check) }}
	if conf.ValidateRequestBody {
		phases.Needs.RequestBody = bodyLimit
	}
	return phases, nil
}

func (c *config) check(x plugin.Exchange) *plugin.Reply {
	h := x.Header()
	refuse := func(message string) *plugin.Reply { return auth.Refuse(message, c.challenge) }
	if !h.Has("Authorization") && !h.Has("Proxy-Authorization") {
		return refuse("Unauthorized")
	}
	now := x.Marks().Start
	if !c.fresh(h.Get("X-Date"), now) && !c.fresh(h.Get("Date"), now) {
		return refuse(needsDate)
	}
	from := "Proxy-Authorization"
	p, ok := parse(h.Get(from))
	if !ok {
		from = "Authorization"
		p, ok = parse(h.Get(from))
	}
	if !ok || !c.acceptable(&p) {
		return refuse(unverified)
	}
	credential := x.Directory().Credential(collection, p.username)
	if credential == nil {
		return refuse(unverified)
	}
	secret, _ := credential.Fields["secret"].(string)
	if !p.signs(x, secret) || c.ValidateRequestBody && !bodyMatches(x) {
		return refuse(mismatch)
	}
	if !auth.Accept(x, credential, x.Keep(p.username)) {
		return refuse(unverified)
	}
	if c.HideCredentials {
		h.Del(from)
	}
	return nil
}

// fresh reports whether a date is one and lies within the clock skew.
func (c *config) fresh(date string, now time.Time) bool {
	at, err := http.ParseTime(date)
	return err == nil && now.Sub(at).Abs().Seconds() <= c.ClockSkew
}

// acceptable reports whether the algorithm is allowed and all headers that
// must be signed are.
func (c *config) acceptable(p *parameters) bool {
	if !slices.Contains(c.Algorithms, p.algorithm) {
		return false
	}
	for _, name := range c.EnforceHeaders {
		if !slices.Contains(p.headers, name) {
			return false
		}
	}
	return true
}

// parameters are those of the header, in the order in which they must come.
type parameters struct {
	username  string
	algorithm string
	headers   []string
	signature string
}

// parse reads hmac username="…", algorithm="…", headers="…", signature="…".
func parse(value string) (p parameters, ok bool) {
	rest := strings.TrimLeft(value, " \t")
	if len(rest) < 4 || !strings.EqualFold(rest[:4], "hmac") {
		return p, false
	}
	rest = rest[4:]
	var signed string
	for i, field := range []struct {
		name string
		to   *string
	}{{"username", &p.username}, {"algorithm", &p.algorithm}, {"headers", &signed}, {"signature", &p.signature}} {
		if i > 0 {
			if rest, ok = strings.CutPrefix(rest, ","); !ok {
				return p, false
			}
		}
		rest = strings.TrimLeft(rest, " \t")
		if rest, ok = strings.CutPrefix(rest, field.name+`="`); !ok {
			return p, false
		}
		if *field.to, rest, ok = strings.Cut(rest, `"`); !ok || *field.to == "" {
			return p, false
		}
	}
	p.headers = strings.Fields(signed)
	return p, len(p.headers) > 0
}

func (p *parameters) signs(x plugin.Exchange, secret string) bool {
	given, err := base64.StdEncoding.DecodeString(p.signature)
	if err != nil || secret == "" {
		return false
	}
	mac := hmac.New(algorithms[p.algorithm], []byte(secret))
	mac.Write([]byte(p.signingString(x)))
	return hmac.Equal(mac.Sum(nil), given)
}

// signingString joins the signed headers, names as the client lists them.
func (p *parameters) signingString(x plugin.Exchange) string {
	r := x.Request()
	uri := r.Path
	if r.HasQuery {
		uri += "?" + r.Query
	}
	var b strings.Builder
	for i, name := range p.headers {
		if i > 0 {
			b.WriteByte('\n')
		}
		switch {
		case x.Header().Has(name):
			b.WriteString(name + ": " + x.Header().Get(name))
		case name == "request-line":
			b.WriteString(r.Method + " " + uri + " HTTP/" + version(r))
		case name == "@request-target":
			b.WriteString(name + ": " + strings.ToLower(r.Method) + " " + uri)
		default:
			b.WriteString(name + ":")
		}
	}
	return b.String()
}

func version(r *plugin.Request) string {
	if r.Major >= 2 {
		return strconv.Itoa(r.Major)
	}
	return strconv.Itoa(r.Major) + "." + strconv.Itoa(r.Minor)
}

// bodyMatches compares the body with its Digest header (RFC 3230); neither is
// fine as well.
func bodyMatches(x plugin.Exchange) bool {
	body, complete := x.Body()
	if !complete {
		return false
	}
	digest := x.Header().Get("Digest")
	if digest == "" {
		return len(body) == 0
	}
	sum := sha256.Sum256(body)
	return digest == "SHA-256="+base64.StdEncoding.EncodeToString(sum[:])
}
