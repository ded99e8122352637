// SPDX-License-Identifier: Apache-2.0

// Package errorpage renders the bodies of answers that the gateway makes
// itself, in the media type that the client asks for. Texts and negotiation
// follow Kong's error templates
// (https://docs.konghq.com/gateway/latest/reference/configuration/#error_template_html).
package errorpage

import (
	"strings"
)

// Type is a media type that an error can be rendered in.
type Type uint8

// The media types of Kong's error templates.
const (
	JSON Type = iota
	Plain
	HTML
	XML
	// GRPC has no body: the error travels in grpc-status and grpc-message.
	GRPC
)

// ContentType returns the value of the Content-Type header.
func (t Type) ContentType() string {
	switch t {
	case Plain:
		return "text/plain; charset=utf-8"
	case HTML:
		return "text/html; charset=utf-8"
	case XML:
		return "application/xml; charset=utf-8"
	case GRPC:
		return "application/grpc"
	default:
		return "application/json; charset=utf-8"
	}
}

func appendMarkup(dst []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func appendJSON(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Negotiate chooses a type by an Accept header: the entry with the highest
// quality wins, the first among equals; an entry of quality 0 never does. An
// empty or unknown Accept yields JSON.
func Negotiate(accept string) Type {
	best, bestQuality := JSON, 0
	for accept != "" {
		var entry string
		entry, accept, _ = strings.Cut(accept, ",")
		media, params, _ := strings.Cut(entry, ";")
		if q := quality(params); q > bestQuality {
			best, bestQuality = ofMedia(strings.TrimSpace(media)), q
		}
	}
	return best
}

// NegotiateProxy chooses a type for errors below the plugins (502, 504, 400,
// 413 …): by Accept, else by the request's Content-Type, else fallback.
func NegotiateProxy(accept, contentType string, fallback Type) Type {
	switch {
	case accept != "":
		return Negotiate(accept)
	case contentType != "":
		return Negotiate(contentType)
	default:
		return fallback
	}
}

// ParseType reads the setting error_default_type.
func ParseType(s string) (Type, bool) {
	switch s {
	case "application/json":
		return JSON, true
	case "text/plain":
		return Plain, true
	case "text/html":
		return HTML, true
	case "application/xml":
		return XML, true
	}
	return Plain, false
}

func ofMedia(media string) Type {
	switch {
	case strings.EqualFold(media, "text/html"):
		return HTML
	case strings.EqualFold(media, "application/xml"):
		return XML
	case strings.EqualFold(media, "text/plain"), media == "text/*":
		return Plain
	default:
		return JSON
	}
}

// quality reads the q parameter in thousandths; 1000 when there is none.
func quality(params string) int {
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		p = strings.TrimSpace(p)
		if len(p) < 2 || (p[0] != 'q' && p[0] != 'Q') || p[1] != '=' {
			continue
		}
		return thousandths(p[2:])
	}
	return 1000
}

func thousandths(s string) int {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "1" {
		return 1000
	}
	n, unit := 0, 100
	for i := 0; i < len(fraction) && unit > 0; i++ {
		c := fraction[i]
		if c < '0' || c > '9' {
			return 0
		}
		n += int(c-'0') * unit
		unit /= 10
	}
	return n
}

// GRPCStatus maps an HTTP status to the gRPC status that Kong answers with.
func GRPCStatus(http int) int {
	switch http {
	case 400:
		return 3
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 5
	case 409:
		return 6
	case 429:
		return 8
	case 499:
		return 1
	case 500:
		return 13
	case 501:
		return 12
	case 503:
		return 14
	case 504:
		return 4
	}
	switch {
	case http >= 200 && http < 300:
		return 0
	case http >= 400 && http < 500:
		return 3
	case http >= 500:
		return 13
	}
	return 2
}

// Message returns Kong's default message for a status.
func Message(status int) string {
	if m, ok := messages[status]; ok {
		return m
	}
	return "The upstream server responded with " + itoa(status)
}

func itoa(n int) string {
	if n < 100 || n > 999 {
		return "0"
	}
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

var messages = map[int]string{
	400: "Bad request",
	401: "Unauthorized",
	402: "Payment required",
	403: "Forbidden",
	404: "Not found",
	405: "Method not allowed",
	406: "Not acceptable",
	407: "Proxy authentication required",
	408: "Request timeout",
	409: "Conflict",
	410: "Gone",
	411: "Length required",
	412: "Precondition failed",
	413: "Payload too large",
	414: "URI too long",
	415: "Unsupported media type",
	416: "Range not satisfiable",
	417: "Expectation failed",
	418: "I'm a teapot",
	421: "Misdirected request",
	422: "Unprocessable entity",
	426: "Upgrade required",
	428: "Precondition required",
	429: "Too many requests",
	431: "Request header fields too large",
	451: "Unavailable for legal reasons",
	494: "Request header or cookie too large",
	500: "An unexpected error occurred",
	502: "An invalid response was received from the upstream server",
	503: "The upstream server is currently unavailable",
	504: "The upstream server is timing out",
}
