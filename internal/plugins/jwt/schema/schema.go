// SPDX-License-Identifier: Apache-2.0

// Package schema describes the configuration of the jwt plugin and its
// credentials. maximum_expiration is in seconds.
package schema

import (
	"crypto/x509"
	"encoding/pem"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Plugin is the jwt plugin.
var Plugin = entity.PluginSchema{
	Name:       "jwt",
	Guards:     true,
	Protocols:  entity.HTTPProtocols(),
	NoConsumer: true, NoConsumerGroup: true,
	Config: schema.NewRecord(
		schema.Set("uri_param_names", schema.String("")).Default([]string{"jwt"}),
		schema.Set("cookie_names", schema.String("")).Default([]string{}),
		schema.String("key_claim_name").Default("iss"),
		schema.Boolean("secret_is_base64").Required().Default(false),
		schema.Set("claims_to_verify", schema.String("").OneOf("exp", "nbf")),
		schema.String("anonymous"),
		schema.Boolean("run_on_preflight").Required().Default(true),
		schema.Number("maximum_expiration").Default(0).Between(0, 31536000),
		schema.Set("header_names", schema.String("")).Default([]string{"authorization"}),
		schema.String("realm"),
	),
	Checks: []schema.EntityCheck{
		schema.Conditional("config.maximum_expiration", schema.Match().Greater(0),
			"config.claims_to_verify", schema.Match().Required().Contains("exp")),
	},
	Credentials: []entity.CredentialType{{
		Collection: "jwt_secrets",
		UniqueKey:  "key",
		Record: schema.NewRecord(
			schema.String("key"),
			schema.String("secret").Secret(),
			schema.String("rsa_public_key"),
			schema.String("algorithm").Default("HS256").OneOf(
				"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
				"PS256", "PS384", "PS512", "EdDSA"),
		).Checks(schema.Conditional(
			"algorithm", schema.Match().NotOneOf("HS256", "HS384", "HS512"),
			"rsa_public_key", schema.Match().Required().CustomString("public_key", checkPublicKey))),
	}},
}

// checkPublicKey accepts a PEM public key or certificate.
func checkPublicKey(s string) string {
	block, _ := pem.Decode([]byte(s))
	if block == nil {
		return "invalid key"
	}
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return ""
	}
	if _, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return ""
	}
	if _, err := x509.ParseCertificate(block.Bytes); err == nil {
		return ""
	}
	return "invalid key"
}
