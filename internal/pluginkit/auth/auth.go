// SPDX-License-Identifier: Apache-2.0

// Package auth holds what Kong's authentication plugins share: the headers
// that tell the upstream who the client is, and the anonymous consumer
// (https://docs.konghq.com/gateway/latest/kong-plugins/authentication/reference/).
package auth

import (
	"log/slog"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Unexpected is Kong's answer to a fault of its own.
var Unexpected = plugin.Reply{Status: 500, Message: "An unexpected error occurred"}

// Run authenticates an exchange. anonymous is the plugin's option: the id or
// username of a consumer that stands in where authentication fails, "" for
// none. check either calls Accept and returns nil, or returns the refusal.
// With anonymous set, a client that an earlier plugin authenticated is not
// checked again: plugins without it are all needed, of those with it one.
func Run(x plugin.Exchange, anonymous string, log *slog.Logger, check func(plugin.Exchange) *plugin.Reply) {
	if anonymous != "" && authenticated(x.Identity()) {
		return
	}
	refusal := check(x)
	switch {
	case refusal == nil:
	case anonymous == "" || refusal.Status == Unexpected.Status:
		x.Exit(*refusal)
	default:
		standIn(x, anonymous, log)
	}
}

func authenticated(id plugin.Identity) bool {
	return id.Credential != nil || id.CredentialID != ""
}

func standIn(x plugin.Exchange, anonymous string, log *slog.Logger) {
	people := x.Directory()
	consumer := people.Consumer(entity.ID(anonymous))
	if consumer == nil {
		consumer = people.ConsumerByName(anonymous)
	}
	if consumer == nil {
		log.Error("config.anonymous names a consumer that does not exist; create it or remove the option", "anonymous", anonymous)
		x.Exit(Unexpected)
		return
	}
	x.Authenticate(plugin.Identity{Consumer: consumer, Groups: people.Groups(consumer), Anonymous: true})
	tellUpstream(x.Header(), consumer, "", true)
}

// Accept records the consumer that a credential belongs to, and tells the
// upstream. identifier is the credential's name towards the upstream. It
// returns false, and does nothing, when the consumer does not exist.
func Accept(x plugin.Exchange, credential *entity.Credential, identifier string) bool {
	if credential.Consumer == nil {
		return false
	}
	people := x.Directory()
	return AcceptHolder(x, credential, people.Consumer(credential.Consumer.ID), identifier)
}

// AcceptHolder is Accept for a credential whose consumer is known, nil for none.
func AcceptHolder(x plugin.Exchange, credential *entity.Credential, consumer *entity.Consumer, identifier string) bool {
	if consumer == nil {
		return false
	}
	people := x.Directory()
	x.Authenticate(plugin.Identity{Consumer: consumer, Credential: credential, Groups: people.Groups(consumer)})
	tellUpstream(x.Header(), consumer, identifier, false)
	return true
}

// tellUpstream sets the identity headers. Those without a value are removed,
// so that a client cannot forge them.
func tellUpstream(h plugin.Header, c *entity.Consumer, identifier string, anonymous bool) {
	put(h, "X-Consumer-ID", string(c.ID))
	put(h, "X-Consumer-Custom-ID", c.CustomID)
	put(h, "X-Consumer-Username", c.Username)
	put(h, "X-Credential-Identifier", identifier)
	flag := ""
	if anonymous {
		flag = "true"
	}
	put(h, "X-Anonymous-Consumer", flag)
}

func put(h plugin.Header, name, value string) {
	if value == "" {
		h.Del(name)
		return
	}
	h.Set(name, value)
}

// Refuse returns a 401 with Kong's error body for the message.
func Refuse(message, challenge string) *plugin.Reply {
	return &plugin.Reply{Status: 401, Message: message, Header: []plugin.Field{{Name: "WWW-Authenticate", Value: challenge}}}
}

// Challenge returns a challenge, with the realm unless it is empty. The realm
// is quoted as RFC 9110, 5.6.4 asks.
func Challenge(scheme, realm string) string {
	if realm == "" {
		return scheme
	}
	return scheme + " realm=" + Quote(realm)
}

// Quote returns s as a quoted-string (RFC 9110, 5.6.4).
func Quote(s string) string {
	quoted := make([]byte, 0, len(s)+2)
	quoted = append(quoted, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			quoted = append(quoted, '\\', c)
		case '\r', '\n':
		default:
			quoted = append(quoted, c)
		}
	}
	return string(append(quoted, '"'))
}
