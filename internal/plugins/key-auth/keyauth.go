// SPDX-License-Identifier: Apache-2.0

// Package keyauth authenticates consumers by a key
// (https://docs.konghq.com/hub/kong-inc/key-auth/). It keeps no state.
package keyauth

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/auth"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/form"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 1250, Configure: configure}

const (
	name       = "key-auth"
	collection = "keyauth_credentials"
	// bodyLimit bounds the request bodies that key_in_body looks into.
	bodyLimit = 8 << 20
)

type config struct {
	KeyNames        []string `json:"key_names"`
	HideCredentials bool     `json:"hide_credentials"`
	Anonymous       string   `json:"anonymous"`
	KeyInHeader     bool     `json:"key_in_header"`
	KeyInQuery      bool     `json:"key_in_query"`
	KeyInBody       bool     `json:"key_in_body"`
	RunOnPreflight  bool     `json:"run_on_preflight"`
	Realm           string   `json:"realm"`

	challenge string
	log       *slog.Logger
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{log: c.Host.Logger(name)}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	conf.challenge = auth.Challenge("Key", conf.Realm)
	phases := &plugin.Phases{Access: conf.access}
	if conf.KeyInBody {
		phases.Needs.RequestBody = bodyLimit
	}
	return phases, nil
}

func (c *config) access(x plugin.Exchange) {
	if !c.RunOnPreflight && x.Request().Method == http.MethodOptions {
		return
	}
	auth.Run(x, c.Anonymous, c.log, c.check)
}

func (c *config) check(x plugin.Exchange) *plugin.Reply {
	key, count, place := c.find(x)
	switch {
	case count > 1:
		return auth.Refuse("Duplicate API key found", c.challenge)
	case key == "":
		return auth.Refuse("No API key found in request", c.challenge)
	}
	credential, consumer := x.Directory().Holder(collection, key)
	if credential == nil || expired(credential, x.Marks().Start) || !auth.AcceptHolder(x, credential, consumer, string(credential.ID)) {
		return auth.Refuse("Unauthorized", c.challenge)
	}
	if c.HideCredentials {
		c.hide(x, place)
	}
	return nil
}

// expired reports whether a credential has outlived its ttl, which needs the
// time of its creation.
func expired(c *entity.Credential, now time.Time) bool {
	if c.CreatedAt == nil {
		return false
	}
	ttl, ok := schema.Float(c.Fields["ttl"])
	return ok && ttl > 0 && float64(now.Unix()) >= float64(*c.CreatedAt)+ttl
}

// find looks for the first key, and returns how often it is given and the name
// it has. An empty key does not count as one.
func (c *config) find(x plugin.Exchange) (key string, count int, place string) {
	var query form.Args
	if c.KeyInQuery {
		query = form.Parse(x.Request().Query)
	}
	var body bodyKeys
	if c.KeyInBody {
		body = parseBody(x)
	}
	for _, name := range c.KeyNames {
		if c.KeyInHeader {
			var room [2]string
			if values := x.Header().Values(room[:0], name); len(values) > 0 {
				return values[0], len(values), name
			}
		}
		if values := query.Values(name); len(values) > 0 {
			return values[0].Value, len(values), name
		}
		if values := body.values(name); len(values) > 0 {
			return values[0], len(values), name
		}
	}
	return "", 0, ""
}

// hide removes the key from every place where it may be.
func (c *config) hide(x plugin.Exchange, name string) {
	x.Header().Del(name)
	if u := x.Upstream(); strings.Contains(u.Query, "=") && form.Parse(u.Query).Has(name) {
		u.Query = form.Remove(u.Query, name)
		u.HasQuery = u.Query != ""
	}
	if c.KeyInBody {
		parseBody(x).remove(x, name)
	}
}
