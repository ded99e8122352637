// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

type facts map[string]string

func (f facts) ConsumerOrCredentialID() string { return f["consumer"] }
func (f facts) ClientIP() string               { return f["ip"] }
func (f facts) Header(n string) string         { return f["header:"+n] }
func (f facts) Cookie(n string) string         { return f["cookie:"+n] }
func (f facts) Path() string                   { return f["path"] }
func (f facts) QueryArg(n string) string       { return f["arg:"+n] }
func (f facts) URICapture(n string) string     { return f["capture:"+n] }

func TestHashKey(t *testing.T) {
	for _, c := range []struct {
		u      entity.Upstream
		f      facts
		key    string
		cookie *Cookie
	}{
		{entity.Upstream{}, facts{"ip": "1"}, "", nil},
		{entity.Upstream{HashOn: "none"}, facts{"ip": "1"}, "", nil},
		{entity.Upstream{HashOn: "consumer"}, facts{"consumer": "c"}, "c", nil},
		{entity.Upstream{HashOn: "ip"}, facts{"ip": "1"}, "1", nil},
		{entity.Upstream{HashOn: "path"}, facts{"path": "/p"}, "/p", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X"}, facts{"header:X": "v"}, "v", nil},
		{entity.Upstream{HashOn: "query_arg", HashOnQueryArg: "k"}, facts{"arg:k": "1"}, "1", nil},
		{entity.Upstream{HashOn: "uri_capture", HashOnURICapture: "id"}, facts{"capture:id": "7"}, "7", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X"}, facts{}, "", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "header", HashFallbackHeader: "Y"}, facts{"header:Y": "w"}, "w", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "ip"}, facts{"ip": "9"}, "9", nil},
		{entity.Upstream{HashOn: "query_arg", HashOnQueryArg: "k", HashFallback: "query_arg", HashFallbackQueryArg: "l"}, facts{"arg:l": "2"}, "2", nil},
		{entity.Upstream{HashOn: "uri_capture", HashOnURICapture: "a", HashFallback: "uri_capture", HashFallbackURICapture: "b"}, facts{"capture:b": "2"}, "2", nil},
		{entity.Upstream{HashOn: "cookie", HashOnCookie: "c"}, facts{"cookie:c": "mine"}, "mine", nil},
		{entity.Upstream{HashOn: "cookie", HashOnCookie: "c"}, facts{}, "new", &Cookie{"c", "new", "/"}},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "cookie", HashOnCookie: "c", HashOnCookiePath: "/p"}, facts{}, "new", &Cookie{"c", "new", "/p"}},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X-K", HashFallback: "cookie", HashOnCookie: "c"}, facts{"header:X-K": "v"}, "v", &Cookie{"c", "new", "/"}},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X-K", HashFallback: "cookie", HashOnCookie: "c"}, facts{"header:X-K": "v", "cookie:c": "old"}, "v", nil},
		{entity.Upstream{HashOn: "header", HashOnHeader: "X", HashFallback: "cookie", HashOnCookie: "c"}, facts{"header:X": "v"}, "v", nil},
	} {
		key, cookie := HashKey(&c.u, c.f, func() string { return "new" })
		if key != c.key || fmt.Sprint(cookie) != fmt.Sprint(c.cookie) {
			t.Errorf("%+v: %q %v", c.u, key, cookie)
		}
	}
}
