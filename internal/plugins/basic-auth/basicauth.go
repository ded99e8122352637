// SPDX-License-Identifier: Apache-2.0

// Package basicauth authenticates consumers by user name and password
// (https://docs.konghq.com/hub/kong-inc/basic-auth/). It keeps no state.
package basicauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/auth"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 1100, Configure: configure}

const (
	name       = "basic-auth"
	collection = "basicauth_credentials"
)

type config struct {
	Anonymous       string `json:"anonymous"`
	HideCredentials bool   `json:"hide_credentials"`
	Realm           string `json:"realm"`

	challenge string
	log       *slog.Logger
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{log: c.Host.Logger(name)}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	conf.challenge = auth.Challenge("Basic", conf.Realm)
	return &plugin.Phases{Access: func(x plugin.Exchange) { auth.Run(x, conf.Anonymous, conf.log, conf.check) }}, nil
}

func (c *config) check(x plugin.Exchange) *plugin.Reply {
	for _, header := range []string{"Proxy-Authorization", "Authorization"} {
		username, password, ok := parse(x.Header().Get(header))
		if !ok {
			continue
		}
		credential := x.Directory().Credential(collection, username)
		if credential == nil {
			continue
		}
		if !matches(credential, password) || !auth.Accept(x, credential, credential.Fields["username"].(string)) {
			break
		}
		if c.HideCredentials {
			x.Header().Del(header)
		}
		return nil
	}
	return auth.Refuse("Unauthorized", c.challenge)
}

// parse reads the value of an Authorization header (RFC 7617).
func parse(value string) (username, password string, ok bool) {
	scheme, encoded, _ := strings.Cut(strings.TrimLeft(value, " "), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(decoded), ":")
}

// matches compares passwords in a time that tells nothing about them.
func matches(c *entity.Credential, password string) bool {
	want, _ := c.Fields["password"].(string)
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(password))
	return want != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
