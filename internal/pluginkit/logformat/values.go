// SPDX-License-Identifier: Apache-2.0

package logformat

import (
	"crypto/tls"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

const hex = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are no UTF-8 become the
// replacement character, so that every record is valid JSON.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		if b < ' ' || b == '"' || b == '\\' || b == 0x7f {
			dst = append(dst, s[from:i]...)
			dst = appendEscaped(dst, b)
			from = i + 1
		}
		i++
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscaped(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	default:
		return append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
	}
}

// appendQuery renders a query's arguments, decoded: a value, true for an
// argument without "=", a list where a name comes more than once.
func appendQuery(dst []byte, query string) []byte {
	type argument struct {
		value string
		flag  bool
	}
	args := map[string][]argument{}
	var order []string
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, has := strings.Cut(pair, "=")
		name = decode(name)
		if _, seen := args[name]; !seen {
			order = append(order, name)
		}
		args[name] = append(args[name], argument{decode(value), !has})
	}
	one := func(dst []byte, a argument) []byte {
		if a.flag {
			return append(dst, "true"...)
		}
		return appendString(dst, a.value)
	}
	dst = append(dst, '{')
	for i, name := range order {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		values := args[name]
		if len(values) == 1 {
			dst = one(dst, values[0])
			continue
		}
		for j, a := range values {
			dst = one(append(dst, "[,"[min(j, 1)]), a)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// decode undoes percent encoding, and leaves what is not encoded properly.
func decode(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// appendHeaders renders fields by lower-case name, lists where a name comes
// more than once. redact hides credentials of requests.
func appendHeaders(dst []byte, h plugin.Header, redact bool) []byte {
	dst = append(dst, '{')
	at := 0
	h.Each(func(name, _ string) bool {
		if !firstOf(h, at, name) {
			at++
			return true
		}
		at++
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		from := len(dst)
		dst = appendString(dst, name)
		lower(dst[from:])
		dst = append(dst, ':')
		if redact && (strings.EqualFold(name, "authorization") || strings.EqualFold(name, "proxy-authorization")) {
			dst = append(dst, `"REDACTED"`...)
			return true
		}
		var room [4]string
		values := h.Values(room[:0], name)
		if len(values) == 1 {
			dst = appendString(dst, values[0])
			return true
		}
		for i, v := range values {
			dst = appendString(append(dst, "[,"[min(i, 1)]), v)
		}
		dst = append(dst, ']')
		return true
	})
	return append(dst, '}')
}

// firstOf reports whether no field before index at has the name.
func firstOf(h plugin.Header, at int, name string) bool {
	first, i := true, 0
	h.Each(func(n, _ string) bool {
		if i == at {
			return false
		}
		i++
		first = !strings.EqualFold(n, name)
		return first
	})
	return first
}

func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
}

// ciphers gives the OpenSSL names of TLS 1.2 cipher suites, which Kong logs.
var ciphers = map[uint16]string{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
}

var versions = map[uint16]string{
	tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3",
}

func appendTLS(dst []byte, s *tls.ConnectionState) []byte {
	cipher := ciphers[s.CipherSuite]
	if cipher == "" {
		cipher = tls.CipherSuiteName(s.CipherSuite)
	}
	verify := "NONE"
	switch {
	case len(s.VerifiedChains) > 0:
		verify = "SUCCESS"
	case len(s.PeerCertificates) > 0:
		verify = "FAILED"
	}
	dst = append(dst, `{"version":"`...)
	dst = append(dst, versions[s.Version]...)
	dst = append(dst, `","cipher":"`...)
	dst = append(dst, cipher...)
	dst = append(dst, `","client_verify":"`...)
	return append(append(dst, verify...), `"}`...)
}
