// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// hashFacts are what consistent hashing may look at of an exchange.
type hashFacts struct{ ex *exchange }

// ConsumerOrCredentialID implements balancer.Facts.
func (f hashFacts) ConsumerOrCredentialID() string {
	id := f.ex.x.Identity()
	switch {
	case id.Consumer != nil:
		return string(id.Consumer.ID)
	case id.Credential != nil:
		return string(id.Credential.ID)
	}
	return id.CredentialID
}

// ClientIP implements balancer.Facts.
func (f hashFacts) ClientIP() string { return f.ex.x.ClientFacts.IP.String() }

// Header implements balancer.Facts.
func (f hashFacts) Header(name string) string {
	return strings.Join(f.ex.header.Values(nil, name), ", ")
}

// Cookie implements balancer.Facts.
func (f hashFacts) Cookie(name string) string {
	for _, line := range f.ex.header.Values(nil, "cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			if k, v, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && k == name {
				return v
			}
		}
	}
	return ""
}

// Path implements balancer.Facts.
func (f hashFacts) Path() string { return f.ex.input.Path }

// QueryArg implements balancer.Facts.
func (f hashFacts) QueryArg(name string) string {
	values, err := url.ParseQuery(f.ex.x.RequestFacts.Query)
	if err != nil && len(values) == 0 {
		return ""
	}
	all := slices.Sorted(slices.Values(values[name]))
	return strings.Join(all, ",")
}

// URICapture implements balancer.Facts.
func (f hashFacts) URICapture(name string) string {
	captures := f.ex.captures()
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(captures) {
		return captures[n].Value
	}
	for _, c := range captures {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// addHashCookie sets the cookie that brings a client back to its peer, in place
// of one of that name from the upstream. The attribute is spelt SameSite; Kong's
// Same-Site is ignored by browsers.
func (ex *exchange) addHashCookie(h *http1.Header) {
	c := ex.hashCookie
	if c == nil {
		return
	}
	line := []byte(c.Name + "=" + c.Value + "; Path=" + c.Path + "; SameSite=Lax; HttpOnly")
	const name = "Set-Cookie"
	lines := h.AppendValues(nil, name)
	same := slices.IndexFunc(lines, func(l []byte) bool { return strings.HasPrefix(view(l), c.Name+"=") })
	if same < 0 {
		h.Add(name, line)
		return
	}
	lines[same] = line
	h.Del(name)
	for _, l := range lines {
		h.Add(name, l)
	}
}
