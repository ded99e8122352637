// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// The largest time that Kong takes, in milliseconds.
const maxTimeout = 1<<31 - 2

func serviceTimeout(name string) *schema.Field {
	return schema.Integer(name).Between(1, maxTimeout).Default(60000)
}

var serviceRecord = common(
	typedefs.UTF8Name("name"),
	schema.String("protocol").Required().Default("http").OneOf(oneOf(allProtocols)...),
	typedefs.Host("host").Required(),
	typedefs.Port("port").Required().Default(80),
	typedefs.Path("path"),
	schema.Integer("retries").Between(0, 32767).Default(5),
	serviceTimeout("connect_timeout"),
	serviceTimeout("write_timeout"),
	serviceTimeout("read_timeout"),
	reference("client_certificate"),
	schema.Array("ca_certificates", schema.String("").UUID()),
	schema.Boolean("tls_verify"),
	schema.Integer("tls_verify_depth").Between(0, 64),
	schema.Boolean("enabled").Required().Default(true),
).Checks(
	schema.Conditional("protocol", schema.Match().OneOf("tcp", "tls", "udp", "grpc", "grpcs"), "path", schema.Match().Forbidden()),
	onlyWithTLS("client_certificate"), onlyWithTLS("tls_verify"),
	onlyWithTLS("tls_verify_depth"), onlyWithTLS("ca_certificates"),
).Shorthands(schema.Translate(schema.String("url").CustomString("url", checkServiceURL), expandServiceURL))

func onlyWithTLS(field string) schema.EntityCheck {
	return schema.Conditional("protocol", schema.Match().NotOneOf("https", "tls"), field, schema.Match().Forbidden())
}

func checkServiceURL(s string) string {
	if _, err := url.Parse(s); err != nil {
		return "could not parse url"
	}
	return ""
}

// expandServiceURL is Kong's shorthand service.url.
func expandServiceURL(v any) map[string]any {
	s, _ := v.(string)
	u, err := url.Parse(s)
	if err != nil {
		return nil
	}
	out := map[string]any{"protocol": u.Scheme, "host": u.Hostname(), "path": u.EscapedPath(), "port": 80}
	port, err := strconv.Atoi(u.Port())
	switch {
	case err == nil:
		out["port"] = port
	case u.Scheme == "https":
		out["port"] = 443
	}
	if u.Scheme == "" {
		out["protocol"] = "http"
		if port == 443 {
			out["protocol"] = "https"
		}
	}
	for k, e := range out {
		if e == "" {
			out[k] = nil
		}
	}
	return out
}

var targetRecord = schema.NewRecord(
	schema.String("id").UUID(),
	reference("upstream").Required(),
	schema.String("target").Required().CustomString("target", func(s string) string {
		if _, ok := typedefs.ParseAddress(s); !ok {
			return "Invalid target ('" + s + "'); not a valid hostname or ip address"
		}
		return ""
	}),
	schema.Integer("weight").Between(0, 65535).Default(100),
	typedefs.Tags(),
	schema.Number("created_at"),
	schema.Number("updated_at"),
)

var consumerRecord = common(
	schema.String("username"),
	schema.String("custom_id"),
	schema.Array("groups", schema.Nested("", schema.NewRecord(schema.String("id").UUID().Required()))),
).Checks(schema.AtLeastOneOf("custom_id", "username"))

var consumerGroupRecord = common(typedefs.UTF8Name("name").Required())

var certificateRecord = common(
	typedefs.Certificate("cert").Required().Referenceable(),
	typedefs.PrivateKey("key").Required().Referenceable(),
	typedefs.Certificate("cert_alt").Referenceable(),
	typedefs.PrivateKey("key_alt").Referenceable(),
).Checks(
	schema.MutuallyRequired("cert_alt", "key_alt"),
	pair("cert", "key", "certificate does not match key"),
	pair("cert_alt", "key_alt", "alternative certificate does not match key"),
	schema.Custom("different_keys", []string{"cert", "cert_alt"}, checkDifferentKeys),
)

func pair(cert, key, message string) schema.EntityCheck {
	return schema.Custom("pair "+cert, []string{cert, key}, func(v map[string]any, report func(path, message string)) {
		c, hasCert := v[cert].(string)
		k, hasKey := v[key].(string)
		if hasCert && hasKey && !typedefs.KeyMatches(c, k) {
			report("", message)
		}
	})
}

func checkDifferentKeys(v map[string]any, report func(path, message string)) {
	first, _ := v["cert"].(string)
	second, ok := v["cert_alt"].(string)
	if !ok {
		return
	}
	a, errA := typedefs.ParseCertificate(first)
	b, errB := typedefs.ParseCertificate(second)
	if errA == nil && errB == nil && a.PublicKeyAlgorithm == b.PublicKeyAlgorithm {
		report("", "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), "+
			"the provided certificates were both of the same type")
	}
}

var sniRecord = common(
	typedefs.WildcardHost("name").Required(),
	reference("certificate").Required(),
)

var caCertificateRecord = common(
	typedefs.Certificate("cert").Required(),
	schema.String("cert_digest"),
).Checks(schema.Custom("authority", []string{"cert"}, checkAuthority))

func checkAuthority(v map[string]any, report func(path, message string)) {
	text, _ := v["cert"].(string)
	cert, err := typedefs.ParseCertificate(text)
	switch {
	case err != nil:
	case strings.Count(text, "-----BEGIN CERTIFICATE-----") > 1:
		report("", "please submit only one certificate at a time")
	case !cert.IsCA:
		report("", `certificate does not appear to be a CA because it is missing the "CA" basic constraint`)
	}
}

// digest is Kong's cert_digest: the SHA-256 of the certificate in DER form.
func digest(text string) string {
	cert, err := typedefs.ParseCertificate(text)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
