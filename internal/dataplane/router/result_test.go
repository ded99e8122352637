// SPDX-License-Identifier: Apache-2.0

package router

import (
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestBuildPath holds Kong's whole table of upstream paths (developer
// documentation of the Admin API, "Path handling algorithms").
func TestBuildPath(t *testing.T) {
	for _, row := range []struct {
		service, route, request          string
		stripV0, keepV0, stripV1, keepV1 string
	}{
		{"/", "/", "/", "/", "/", "/", "/"},
		{"/", "/", "/rt/", "/rt/", "/rt/", "/rt/", "/rt/"},
		{"/", "/", "/rt/req", "/rt/req", "/rt/req", "/rt/req", "/rt/req"},
		{"/", "/rt", "/rt", "/", "/rt", "/", "/rt"},
		{"/", "/rt", "/rt/", "/", "/rt/", "/", "/rt/"},
		{"/", "/rt", "/rt/req", "/req", "/rt/req", "/req", "/rt/req"},
		{"/", "/rt", "/rtreq", "/req", "/rtreq", "/req", "/rtreq"},
		{"/", "/rt/", "/rt/", "/", "/rt/", "/", "/rt/"},
		{"/", "/rt/", "/rt/req", "/req", "/rt/req", "/req", "/rt/req"},
		{"/srv", "/", "/", "/srv", "/srv", "/srv", "/srv"},
		{"/srv", "/", "/rt/", "/srv/rt/", "/srv/rt/", "/srvrt/", "/srvrt/"},
		{"/srv", "/", "/rt/req", "/srv/rt/req", "/srv/rt/req", "/srvrt/req", "/srvrt/req"},
		{"/srv", "/rt", "/rt", "/srv", "/srv/rt", "/srv", "/srvrt"},
		{"/srv", "/rt", "/rt/", "/srv/", "/srv/rt/", "/srv/", "/srvrt/"},
		{"/srv", "/rt", "/rt/req", "/srv/req", "/srv/rt/req", "/srv/req", "/srvrt/req"},
		{"/srv", "/rt", "/rtreq", "/srv/req", "/srv/rtreq", "/srvreq", "/srvrtreq"},
		{"/srv", "/rt/", "/rt/", "/srv/", "/srv/rt/", "/srv", "/srvrt/"},
		{"/srv", "/rt/", "/rt/req", "/srv/req", "/srv/rt/req", "/srvreq", "/srvrt/req"},
		{"/srv/", "/", "/", "/srv/", "/srv/", "/srv/", "/srv/"},
		{"/srv/", "/", "/rt/", "/srv/rt/", "/srv/rt/", "/srv/rt/", "/srv/rt/"},
		{"/srv/", "/", "/rt/req", "/srv/rt/req", "/srv/rt/req", "/srv/rt/req", "/srv/rt/req"},
		{"/srv/", "/rt", "/rt", "/srv", "/srv/rt", "/srv/", "/srv/rt"},
		{"/srv/", "/rt", "/rt/", "/srv/", "/srv/rt/", "/srv/", "/srv/rt/"},
		{"/srv/", "/rt", "/rt/req", "/srv/req", "/srv/rt/req", "/srv/req", "/srv/rt/req"},
		{"/srv/", "/rt", "/rtreq", "/srv/req", "/srv/rtreq", "/srv/req", "/srv/rtreq"},
		{"/srv/", "/rt/", "/rt/", "/srv/", "/srv/rt/", "/srv/", "/srv/rt/"},
		{"/srv/", "/rt/", "/rt/req", "/srv/req", "/srv/rt/req", "/srv/req", "/srv/rt/req"},
	} {
		for _, c := range []struct {
			handling string
			strip    bool
			want     string
		}{
			{"v0", true, row.stripV0},
			{"v0", false, row.keepV0},
			{"v1", true, row.stripV1},
			{"v1", false, row.keepV1},
		} {
			r, _ := New([]Item{{
				Route:   &entity.Route{ID: "r", Paths: []string{row.route}, StripPath: &c.strip, PathHandling: c.handling},
				Service: &entity.Service{Path: row.service},
			}})
			res, ok := r.Match(&Input{Path: row.request})
			if !ok {
				t.Fatalf("%+v: no match", row)
			}
			if got := string(res.BuildPath([]byte("x"))); got != "x"+c.want {
				t.Errorf("service %s route %s request %s %s strip=%v: %s, want %s", row.service, row.route, row.request,
					c.handling, c.strip, got[1:], c.want)
			}
		}
	}
}

func TestBuildPathWithoutServicePath(t *testing.T) {
	strip := true
	for _, c := range []struct{ paths, request, want string }{
		{"/a", "/a/b", "/b"},
		{"/a", "/a", "/"},
		{"/a", "/a/", "/"},
		{"/a", "/a.hidden", "/.hidden"},
		{"/a", "/a../x", "/x"},
		{"/a", "/a..", "/"},
		{"~/v[0-9]+", "/v12/x y", "/x%20y"},
		{"~/v[0-9]+$", "/v12", "/"},
	} {
		r, _ := New([]Item{{
			Route:   &entity.Route{ID: "r", Paths: []string{c.paths}, StripPath: &strip},
			Service: &entity.Service{},
		}})
		res, ok := r.Match(&Input{Path: c.request})
		if got := string(res.BuildPath(nil)); !ok || got != c.want {
			t.Errorf("%s %s: %s, want %s", c.paths, c.request, got, c.want)
		}
	}
}

func TestAppendEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"/plain":                  "/plain",
		"/%2Fa%20":                "/%2Fa%20",
		"/a b\"<>\\^`{|}\x00\xff": "/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D%00%FF",
		"!*'();:@&=+$,/?#[]~":     "!*'();:@&=+$,/?#[]~",
	} {
		if got := string(AppendEscaped(nil, in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
