// SPDX-License-Identifier: Apache-2.0

package basicauth

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/basic-auth/schema"
)

var people = &plugintest.Directory{
	Consumers:   []*entity.Consumer{{ID: "1", Username: "amy"}},
	UniqueField: map[string]string{collection: "username"},
	Secrets: []*entity.Credential{
		{ID: "a", Type: collection, Consumer: &entity.Ref{ID: "1"}, Fields: map[string]any{"username": "al", "password": "pa:ss"}},
		{ID: "b", Type: collection, Consumer: &entity.Ref{ID: "1"}, Fields: map[string]any{"username": "none"}},
	},
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAccess(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: map[string]any{"hide_credentials": true}})
	for _, c := range []struct {
		name   string
		header []string
		ok     bool
	}{
		{"nothing", nil, false},
		{"right", []string{"Authorization", "Basic " + encoded("al:pa:ss")}, true},
		{"scheme in lower case", []string{"Authorization", "basic " + encoded("al:pa:ss")}, true},
		{"wrong password", []string{"Authorization", "Basic " + encoded("al:pass")}, false},
		{"other case", []string{"Authorization", "Basic " + encoded("AL:pa:ss")}, false},
		{"empty password", []string{"Authorization", "Basic " + encoded("al:")}, false},
		{"credential without a password", []string{"Authorization", "Basic " + encoded("none:")}, false},
		{"unknown", []string{"Authorization", "Basic " + encoded("bob:x")}, false},
		{"no colon", []string{"Authorization", "Basic " + encoded("al")}, false},
		{"no base64", []string{"Authorization", "Basic ***"}, false},
		{"other scheme", []string{"Authorization", "Bearer " + encoded("al:pa:ss")}, false},
		{"proxy header", []string{"Proxy-Authorization", "Basic " + encoded("al:pa:ss"), "Authorization", "Bearer x"}, true},
		{"proxy header of another kind", []string{"Proxy-Authorization", "Bearer x", "Authorization", "Basic " + encoded("al:pa:ss")}, true},
		{"proxy header wrong", []string{"Proxy-Authorization", "Basic " + encoded("al:x"), "Authorization", "Basic " + encoded("al:pa:ss")}, false},
	} {
		x := plugintest.New(time.Now(), "GET", "/", c.header...)
		x.People = people
		p.Access(x)
		if c.ok != (x.Reply == nil) {
			t.Errorf("%s: %v", c.name, x.Reply)
			continue
		}
		if !c.ok {
			if x.Reply.Status != 401 || x.Reply.Message != "Unauthorized" || x.Reply.Header[0].Value != `Basic realm="service"` {
				t.Errorf("%s: %v", c.name, x.Reply)
			}
			continue
		}
		if x.RequestHeader.Get("X-Credential-Identifier") != "al" || x.RequestHeader.Has(c.header[0]) && c.header[1] != "Bearer x" {
			t.Errorf("%s: %v", c.name, x.RequestHeader.Map())
		}
		if len(c.header) > 2 && c.header[3] == "Bearer x" && !x.RequestHeader.Has("Authorization") {
			t.Errorf("%s: the header that was not used is gone", c.name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Basic " + encoded("a:b"))
	f.Fuzz(func(t *testing.T, value string) {
		if user, password, ok := parse(value); ok {
			if u, p, ok := parse("Basic " + encoded(user+":"+password)); !ok || u != user || p != password {
				t.Errorf("%q %q", user, password)
			}
		}
	})
}
