// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Facts are what a hash key can be made of. An empty string means absent.
type Facts interface {
	ConsumerOrCredentialID() string
	ClientIP() string
	Header(name string) string // several lines joined by ", "
	Cookie(name string) string
	Path() string
	QueryArg(name string) string   // several values sorted and joined by ","
	URICapture(name string) string // by name or number
}

// Cookie is a cookie to set so that the client comes back to the same peer.
type Cookie struct {
	Name, Value, Path string
}

// HashKey returns the key that consistent hashing uses for a request, and the
// cookie to set when the client needs one. Without a key all requests meet the
// same peer, as in Kong. newID makes a value for a new cookie.
//
// Kong 3.9 never finds a hash_on_header with a dash in its name (later versions
// do) and hands out the fallback cookie to everybody. Here the header is found,
// and the cookie is handed out all the same.
func HashKey(u *entity.Upstream, f Facts, newID func() string) (key string, set *Cookie) {
	first := hashSource{u.HashOn, u.HashOnHeader, u.HashOnQueryArg, u.HashOnURICapture}
	if u.HashOn == "cookie" {
		return cookieKey(u, f, newID)
	}
	if key = first.value(f); key != "" {
		if u.HashFallback == "cookie" && u.HashOn == "header" && strings.Contains(u.HashOnHeader, "-") {
			_, set = cookieKey(u, f, newID)
		}
		return key, set
	}
	if u.HashFallback == "cookie" {
		return cookieKey(u, f, newID)
	}
	second := hashSource{u.HashFallback, u.HashFallbackHeader, u.HashFallbackQueryArg, u.HashFallbackURICapture}
	return second.value(f), nil
}

// cookieKey returns the value of the hash cookie, a new one with the cookie to
// set when the client sent none.
func cookieKey(u *entity.Upstream, f Facts, newID func() string) (string, *Cookie) {
	if v := f.Cookie(u.HashOnCookie); v != "" {
		return v, nil
	}
	path := u.HashOnCookiePath
	if path == "" {
		path = "/"
	}
	id := newID()
	return id, &Cookie{Name: u.HashOnCookie, Value: id, Path: path}
}

type hashSource struct{ on, header, queryArg, uriCapture string }

func (s hashSource) value(f Facts) string {
	switch s.on {
	case "consumer":
		return f.ConsumerOrCredentialID()
	case "ip":
		return f.ClientIP()
	case "header":
		return f.Header(s.header)
	case "path":
		return f.Path()
	case "query_arg":
		return f.QueryArg(s.queryArg)
	case "uri_capture":
		return f.URICapture(s.uriCapture)
	default:
		return ""
	}
}
