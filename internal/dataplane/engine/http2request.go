// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// Refusals of requests that HTTP/2 can carry and HTTP/1 cannot express, or that
// must not be guessed at.
var (
	errHTTP2Line   = &http1.Error{Status: 400, Message: "Bad request", Reason: "blank or control character in a pseudo-header"}
	errHTTP2Target = &http1.Error{Status: 400, Message: "Bad request", Reason: ":path is neither a path nor an asterisk"}
	errHTTP2Length = &http1.Error{Status: 400, Message: "Bad request", Reason: "Content-Length does not match the stream"}
)

// checkHTTP2 refuses what the frame layer lets through and a request line must
// not hold.
func checkHTTP2(r *http.Request) error {
	for _, part := range [...]string{r.Method, r.RequestURI, r.Host} {
		if strings.ContainsFunc(part, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			return errHTTP2Line
		}
	}
	if r.Method != http.MethodConnect && !strings.HasPrefix(r.RequestURI, "/") && r.RequestURI != "*" {
		return errHTTP2Target
	}
	if lengths := r.Header["Content-Length"]; len(lengths) == 1 {
		// What is no number at all is refused by the parser.
		if n, err := strconv.ParseUint(lengths[0], 10, 63); err == nil && int64(n) != r.ContentLength {
			return errHTTP2Length
		}
	}
	return nil
}

// appendHTTP2Head renders the head of a stream's request as HTTP/1.1, for the
// parser to judge as it judges any other. chunked says that the body is to
// follow in chunks.
func appendHTTP2Head(dst []byte, r *http.Request) (head []byte, chunked bool) {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.RequestURI...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	if r.Host != "" {
		dst = appendLine(dst, "host", r.Host)
	}
	// Trailers need chunks, whatever length was announced.
	chunked = r.ContentLength < 0 || len(r.Trailer) > 0
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if chunked && name == "Content-Length" {
			continue
		}
		for _, value := range r.Header[name] {
			dst = appendLine(dst, name, value)
		}
	}
	if chunked {
		dst = appendLine(dst, "transfer-encoding", "chunked")
	}
	if len(r.Trailer) > 0 {
		dst = appendLine(dst, "trailer", strings.Join(slices.Sorted(maps.Keys(r.Trailer)), ", "))
	}
	return append(dst, "\r\n"...), chunked
}

// appendLine appends a field in the spelling it had on the wire, lower case.
func appendLine(dst []byte, name, value string) []byte {
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// chunkLine is the length of the line that a chunk of a stream's body starts
// with: its size in chunkDigits digits.
const (
	chunkDigits = 8
	chunkLine   = chunkDigits + len("\r\n")
	chunkRoom   = chunkLine + len("\r\n")
)

// closeChunk frames the n bytes of data at b[chunkLine:] and returns how many
// bytes of b the chunk has.
func closeChunk(b []byte, n int) int {
	const digits = "0123456789abcdef"
	for i, size := chunkDigits-1, n; i >= 0; i, size = i-1, size>>4 {
		b[i] = digits[size&15]
	}
	copy(b[chunkDigits:], "\r\n")
	return chunkLine + n + copy(b[chunkLine+n:], "\r\n")
}

// lastChunk renders the end of a chunked body with the trailers that came.
func lastChunk(trailer http.Header) []byte {
	var fields http1.Header
	for name, values := range trailer {
		for _, v := range values {
			fields.Add(name, http1.View(v))
		}
	}
	return http1.AppendLastChunk(nil, &fields)
}

// answerField puts a field of an answer into a stream's header.
func answerField(h http.Header, name, value []byte) {
	key := http.CanonicalHeaderKey(string(name))
	switch key {
	case "Content-Length", "Transfer-Encoding", "Connection":
		// Frames say where the body ends.
	default:
		h[key] = append(h[key], string(value))
	}
}
