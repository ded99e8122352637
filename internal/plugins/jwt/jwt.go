// SPDX-License-Identifier: Apache-2.0

// Package jwt authenticates consumers by signed tokens
// (https://docs.konghq.com/hub/kong-inc/jwt/). It remembers parsed public keys
// per instance and keeps no other state.
package jwt

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/auth"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/form"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 1450, Configure: configure}

const (
	name       = "jwt"
	collection = "jwt_secrets"
)

type config struct {
	URIParamNames     []string `json:"uri_param_names"`
	CookieNames       []string `json:"cookie_names"`
	HeaderNames       []string `json:"header_names"`
	KeyClaimName      string   `json:"key_claim_name"`
	SecretIsBase64    bool     `json:"secret_is_base64"`
	ClaimsToVerify    []string `json:"claims_to_verify"`
	MaximumExpiration float64  `json:"maximum_expiration"` // seconds, 0: any
	Anonymous         string   `json:"anonymous"`
	RunOnPreflight    bool     `json:"run_on_preflight"`
	Realm             string   `json:"realm"`

	challenge, invalid string
	keys               keyCache
	log                *slog.Logger
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{log: c.Host.Logger(name)}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	conf.challenge = auth.Challenge("Bearer", conf.Realm)
	conf.invalid = conf.challenge + ` error="invalid_token"`
	if conf.Realm != "" {
		conf.invalid = conf.challenge + `, error="invalid_token"`
	}
	return &plugin.Phases{Access: conf.access}, nil
}

func (c *config) access(x plugin.Exchange) {
	if !c.RunOnPreflight && x.Request().Method == http.MethodOptions {
		return
	}
	auth.Run(x, c.Anonymous, c.log, c.check)
}

func (c *config) check(x plugin.Exchange) *plugin.Reply {
	tokens := c.tokens(x)
	switch len(tokens) {
	case 0:
		return refuse(map[string]string{"message": "Unauthorized"}, c.challenge)
	case 1:
	default:
		return c.refuse("Multiple tokens provided")
	}
	t, problem := parse(tokens[0])
	if problem != "" {
		return c.refuse("Bad token; " + problem)
	}
	credential, key, problem := c.credential(x, t)
	if problem != "" {
		return c.refuse(problem)
	}
	if problem := c.verify(credential, t); problem != "" {
		return c.refuse(problem)
	}
	if problems := c.checkTimes(t, x.Marks().Start); len(problems) > 0 {
		return refuse(problems, c.invalid)
	}
	if !auth.Accept(x, credential, key) {
		return c.refuse("Could not find consumer for '" + c.KeyClaimName + "=" + key + "'")
	}
	return nil
}

// credential finds the credential that the token names.
func (c *config) credential(x plugin.Exchange, t *token) (*entity.Credential, string, string) {
	value, ok := t.claims[c.KeyClaimName]
	if !ok || value == nil {
		value = t.header[c.KeyClaimName]
	}
	if value == nil || value == false {
		return nil, "", "No mandatory '" + c.KeyClaimName + "' in claims"
	}
	key, isString := value.(string)
	if isString && key == "" {
		return nil, "", "Invalid '" + c.KeyClaimName + "' in claims"
	}
	credential := x.Directory().Credential(collection, key)
	if !isString || credential == nil {
		return nil, "", "No credentials found for given '" + c.KeyClaimName + "'"
	}
	return credential, key, ""
}

// tokens returns the different tokens of a request, from query, cookies and
// headers in this order.
func (c *config) tokens(x plugin.Exchange) []string {
	var found []string
	add := func(token string) {
		for _, known := range found {
			if known == token {
				return
			}
		}
		if token != "" {
			found = append(found, token)
		}
	}
	if query := x.Request().Query; query != "" && len(c.URIParamNames) > 0 {
		args := form.Parse(query)
		for _, name := range c.URIParamNames {
			for _, a := range args.Values(name) {
				add(a.Value)
			}
		}
	}
	for _, name := range c.CookieNames {
		add(cookie(x.Header(), name))
	}
	for _, name := range c.HeaderNames {
		add(bearer(x.Header().Get(name)))
	}
	return found
}

// bearer returns the token of an Authorization value, "" for other schemes.
func bearer(value string) string {
	scheme, token, _ := strings.Cut(strings.TrimLeft(value, " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " \t")
}

func cookie(h plugin.Header, name string) string {
	var room [4]string
	for _, line := range h.Values(room[:0], "Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && key == name {
				return value
			}
		}
	}
	return ""
}

func (c *config) refuse(message string) *plugin.Reply {
	return refuse(map[string]string{"message": message}, c.invalid)
}

// refuse returns a 401 with an object as its body, as Kong's jwt plugin does.
func refuse(body map[string]string, challenge string) *plugin.Reply {
	data, err := schema.EncodeJSON(body)
	if err != nil {
		return &auth.Unexpected
	}
	return &plugin.Reply{Status: 401, Body: data, Header: []plugin.Field{
		{Name: "Content-Type", Value: "application/json; charset=utf-8"},
		{Name: "WWW-Authenticate", Value: challenge},
	}}
}
