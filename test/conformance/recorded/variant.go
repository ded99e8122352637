// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bytes"
	"slices"
	"strings"
)

// Variant is a way of running a case. The recordings are of HTTP/1.1 in plain
// text on a fresh process; the others must come to the same answers.
type Variant struct {
	Name string
	// TLS sends over TLS what was recorded in plain text, HTTP2 in frames.
	TLS, HTTP2 bool
	// Reload gives the configuration to a gateway that already serves another.
	Reload bool
	// Stream gives it through the configuration stream of a control plane.
	Stream *ControlPlane
	// Together is how many clients go through the steps side by side, 0 for one.
	Together int
}

// together is how many clients ask at the same time in the parallel variant.
const together = 8

// Variants returns all of them; the first is the recording's own.
func Variants(plane *ControlPlane) []Variant {
	return []Variant{
		{Name: "plain"},
		{Name: "reloaded", Reload: true},
		{Name: "stream", Reload: true, Stream: plane},
		{Name: "tls", TLS: true},
		{Name: "http2", TLS: true, HTTP2: true},
		{Name: "parallel", Together: together},
	}
}

// asRecorded reports whether the client speaks as it did when the case was
// recorded.
func (v Variant) asRecorded() bool { return !v.TLS }

// Applies reports whether the variant can say what the case says, and why not.
func (v Variant) Applies(c *Case) (why string) {
	switch {
	case v.Together > 1:
		return Stateful(c)
	case v.Stream != nil && c.Refused:
		return "a configuration that is refused is not published"
	case v.asRecorded():
		return ""
	}
	if bytes.Contains(c.Config, []byte(`"protocols"`)) {
		return "about the difference between plain text and TLS"
	}
	for i := range c.Steps {
		s := &Send{}
		if err := (names{}).decode(quoted(c.Steps[i].Send), s); err != nil || c.Steps[i].Send == nil {
			continue
		}
		switch {
		case s.PlainTLS:
			return "plain text to a TLS port"
		case v.HTTP2 && s.Raw != nil:
			return "bytes that are not HTTP/2"
		case v.HTTP2 && or(s.Version, "1.1") != "1.1":
			return "a version of HTTP/1"
		case v.HTTP2 && !strings.HasPrefix(or(s.Target, "/"), "/"):
			return "a target that is no path"
		case v.HTTP2 && slices.ContainsFunc(s.Headers, func(f Field) bool { return strings.Trim(f[1], " \t") != f[1] }):
			return "blanks around a value, which HTTP/2 refuses" // RFC 9113 §8.2.1
		case v.HTTP2 && slices.ContainsFunc(s.Headers, onlyHTTP1):
			return "a header of HTTP/1"
		}
	}
	return ""
}

// quoted makes names that stand for numbers readable as JSON.
func quoted(raw []byte) []byte { return []byte(quoteBare(string(raw))) }

// onlyHTTP1 reports whether a field must not be sent in HTTP/2 (RFC 9113
// §8.2.2), or has no meaning there.
func onlyHTTP1(f Field) bool {
	switch strings.ToLower(f[0]) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "expect":
		return true
	}
	return false
}

// adapt changes what a recording of plain text expects of a request into what
// must be seen over TLS: the scheme, and in HTTP/2 the version that the next hop
// is told.
func (v Variant) adapt(want map[string]any, s *Send, c *Case) {
	if v.asRecorded() {
		return
	}
	calls, _ := want["upstream"].([]any)
	for _, call := range calls {
		call, _ := call.(map[string]any)
		headers, _ := call["headers"].(map[string]any)
		if s.TLS == nil {
			believed := c.Env["KONG_TRUSTED_IPS"] != "" && s.says("x-forwarded-proto")
			if headers["x-forwarded-proto"] == "http" && !believed {
				headers["x-forwarded-proto"] = "https"
			}
			if headers["x-forwarded-port"] == "${proxy.port}" {
				headers["x-forwarded-port"] = "${tls.port}"
			}
		}
		if via, ok := headers["via"].(string); ok && v.HTTP2 {
			headers["via"] = strings.Replace(via, "1.1 ${product}", "2 ${product}", 1)
		}
	}
	if headers, _ := want["headers"].(map[string]any); v.HTTP2 {
		delete(headers, "transfer-encoding")
		delete(headers, "connection")
	}
}

func (s *Send) says(name string) bool {
	return slices.ContainsFunc(s.Headers, func(f Field) bool { return strings.EqualFold(f[0], name) })
}
