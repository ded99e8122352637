// SPDX-License-Identifier: Apache-2.0

// Package clienthello reads the message with which a TLS client opens (RFC 8446
// §4.1.2, RFC 5246 §7.4.1.2), without taking part in the handshake: it is how a
// connection that is passed on encrypted is routed by its server name. It looks
// at bytes only.
package clienthello

import (
	"errors"
	"strings"
)

// ErrMore says that the bytes are the beginning of a ClientHello: read more.
var ErrMore = errors.New("clienthello: the message is not complete")

var (
	errNotTLS    = errors.New("clienthello: the connection does not start with a TLS handshake")
	errMalformed = errors.New("clienthello: malformed ClientHello")
	errName      = errors.New("clienthello: the server name is no host name")
)

const (
	recordHandshake = 22
	recordHead      = 5
	maxRecord       = 1 << 14 // of plaintext, RFC 8446 §5.1
	typeClientHello = 1
	messageHead     = 4
	randomSize      = 32
	maxSessionID    = 32
	extServerName   = 0
	nameTypeHost    = 0
	maxName         = 255
	// maxRecords bounds over how many records a message may be spread: many tiny
	// ones only make work.
	maxRecords = 32
)

// ServerName returns the server name of the ClientHello at the beginning of b,
// in lower case and without a final dot, "" when it has none. With encrypted
// ClientHello that is the outer, public name. The error is ErrMore when b is
// too short to tell; any other one is final.
func ServerName(b []byte) (string, error) {
	message, err := assemble(b)
	if err != nil {
		return "", err
	}
	return serverName(message)
}

// assemble returns the body of the handshake message that the records of b
// carry, which may be spread over several.
func assemble(b []byte) ([]byte, error) {
	var parts []byte // of a message in more than one record
	for range maxRecords {
		fragment, rest, err := record(b)
		if err != nil {
			return nil, err
		}
		message := fragment
		if parts != nil {
			parts = append(parts, fragment...)
			message = parts
		}
		if message[0] != typeClientHello {
			return nil, errNotTLS
		}
		if len(message) >= messageHead {
			size := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
			if len(message) >= messageHead+size {
				return message[messageHead : messageHead+size], nil
			}
		}
		if parts == nil {
			parts = append(make([]byte, 0, len(b)), fragment...)
		}
		b = rest
	}
	return nil, errMalformed
}

// record cuts the first record off b.
func record(b []byte) (fragment, rest []byte, err error) {
	// What is there already must be right: who speaks something else is not
	// waited for.
	if len(b) > 0 && b[0] != recordHandshake || len(b) > 1 && b[1] != 3 {
		return nil, nil, errNotTLS
	}
	if len(b) < recordHead {
		return nil, nil, ErrMore
	}
	size := int(b[3])<<8 | int(b[4])
	if size == 0 || size > maxRecord {
		return nil, nil, errMalformed
	}
	if len(b) < recordHead+size {
		return nil, nil, ErrMore
	}
	return b[recordHead : recordHead+size], b[recordHead+size:], nil
}

// reader takes a message apart. After a take that fails, it has failed.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.b) {
		r.failed = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) number(size int) int {
	n := 0
	for _, c := range r.take(size) {
		n = n<<8 | int(c)
	}
	return n
}

// vector takes what a length of so many bytes announces.
func (r *reader) vector(lengthSize int) []byte { return r.take(r.number(lengthSize)) }

// serverName reads the body of a ClientHello.
func serverName(body []byte) (string, error) {
	r := &reader{b: body}
	r.take(2) // legacy_version
	r.take(randomSize)
	session, suites, compressions := r.vector(1), r.vector(2), r.vector(1)
	if r.failed || len(session) > maxSessionID || len(suites) < 2 || len(suites)%2 != 0 || len(compressions) == 0 {
		return "", errMalformed
	}
	if len(r.b) == 0 {
		return "", nil // without extensions
	}
	extensions := r.vector(2)
	if r.failed || len(r.b) > 0 {
		return "", errMalformed
	}
	return nameExtension(extensions)
}

// nameExtension looks through the extensions for that of the server name.
func nameExtension(b []byte) (name string, err error) {
	r := &reader{b: b}
	found := false
	for len(r.b) > 0 {
		kind, data := r.number(2), r.vector(2)
		if r.failed {
			return "", errMalformed
		}
		if kind != extServerName {
			continue // among them those that GREASE makes up (RFC 8701)
		}
		if found {
			return "", errMalformed
		}
		found = true
		if name, err = hostName(data); err != nil {
			return "", err
		}
	}
	return name, nil
}

// hostName reads a server_name extension (RFC 6066 §3), which holds one name of
// each type, and host names are the only type there is.
func hostName(b []byte) (string, error) {
	r := &reader{b: b}
	list := &reader{b: r.vector(2)}
	if r.failed || len(r.b) > 0 {
		return "", errMalformed
	}
	kind, name := list.number(1), list.vector(2)
	if list.failed || len(list.b) > 0 || kind != nameTypeHost {
		return "", errMalformed
	}
	return canonical(name)
}

// canonical checks a host name and lowers its case.
func canonical(name []byte) (string, error) {
	text := strings.TrimSuffix(string(name), ".")
	if text == "" || len(text) > maxName || text[0] == '.' || text[len(text)-1] == '.' || strings.Contains(text, "..") {
		return "", errName
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "", errName
		}
	}
	return strings.ToLower(text), nil
}
