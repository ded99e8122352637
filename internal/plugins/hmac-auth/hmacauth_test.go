// SPDX-License-Identifier: Apache-2.0

package hmacauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/hmac-auth/schema"
)

var now = time.Date(2024, time.August, 19, 10, 4, 0, 0, time.UTC)

const date = "Mon, 19 Aug 2024 10:00:00 GMT" // 240 s before now

var people = &plugintest.Directory{
	Consumers:   []*entity.Consumer{{ID: "1", Username: "amy"}},
	UniqueField: map[string]string{collection: "username"},
	Secrets: []*entity.Credential{
		{ID: "k", Type: collection, Consumer: &entity.Ref{ID: "1"}, Fields: map[string]any{"username": "al", "secret": "s3cret"}},
		{ID: "empty", Type: collection, Consumer: &entity.Ref{ID: "1"}, Fields: map[string]any{"username": "none"}},
	},
}

func signature(text string) string {
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func authorization(user, algorithm, headers, signature string) string {
	return `hmac username="` + user + `", algorithm="` + algorithm + `", headers="` + headers + `", signature="` + signature + `"`
}

func TestAccess(t *testing.T) {
	type m = map[string]any
	good := authorization("al", "hmac-sha256", "date", signature("date: "+date))
	for _, c := range []struct {
		name   string
		config m
		target string
		header []string
		body   string
		want   string
	}{
		{"nothing", nil, "/", nil, "", "Unauthorized"},
		{"good", nil, "/", []string{"Date", date, "Authorization", good}, "", ""},
		{"X-Date", nil, "/", []string{"X-Date", date, "Authorization", authorization("al", "hmac-sha256", "x-date", signature("x-date: "+date))}, "", ""},
		{"too old", m{"clock_skew": 239}, "/", []string{"Date", date, "Authorization", good}, "", needsDate},
		{"no date", nil, "/", []string{"Authorization", good}, "", needsDate},
		{"bad date", nil, "/", []string{"Date", "yesterday", "Authorization", good}, "", needsDate},
		{"garbage", nil, "/", []string{"Date", date, "Authorization", "hmac garbage"}, "", unverified},
		{"parameters in another order", nil, "/", []string{"Date", date, "Authorization",
			`hmac algorithm="hmac-sha256", username="al", headers="date", signature="` + signature("date: "+date) + `"`}, "", unverified},
		{"unknown user", nil, "/", []string{"Date", date, "Authorization", authorization("bob", "hmac-sha256", "date", signature("date: "+date))}, "", unverified},
		{"unknown algorithm", nil, "/", []string{"Date", date, "Authorization", authorization("al", "hmac-md5", "date", "x")}, "", unverified},
		{"algorithm not allowed", m{"algorithms": []any{"hmac-sha1"}}, "/", []string{"Date", date, "Authorization", good}, "", unverified},
		{"wrong signature", nil, "/", []string{"Date", date, "Authorization", authorization("al", "hmac-sha256", "date", signature("x"))}, "", mismatch},
		{"no secret", nil, "/", []string{"Date", date, "Authorization", authorization("none", "hmac-sha256", "date", signature("date: "+date))}, "", mismatch},
		{"header changed", nil, "/", []string{"Date", "Mon, 19 Aug 2024 10:00:01 GMT", "Authorization", good}, "", mismatch},
		{"enforced header missing", m{"enforce_headers": []any{"date", "request-line"}}, "/", []string{"Date", date, "Authorization", good}, "", unverified},
		{"request line", m{"enforce_headers": []any{"request-line"}}, "/r?a=%20", []string{"Date", date, "Authorization",
			authorization("al", "hmac-sha256", "date request-line", signature("date: "+date+"\nGET /r?a=%20 HTTP/1.1"))}, "", ""},
		{"request target and absent header", nil, "/r?a", []string{"Date", date, "Authorization",
			authorization("al", "hmac-sha256", "@request-target x-no", signature("@request-target: get /r?a\nx-no:"))}, "", ""},
		{"proxy header first", nil, "/", []string{"Date", date, "Proxy-Authorization", authorization("al", "hmac-sha256", "date", "eA=="), "Authorization", good}, "", mismatch},
		{"proxy header of another kind", nil, "/", []string{"Date", date, "Proxy-Authorization", "Basic x", "Authorization", good}, "", ""},
		{"digest", m{"validate_request_body": true}, "/", []string{"Date", date, "Authorization", good,
			"Digest", "SHA-256=LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564="}, "foo", ""},
		{"wrong digest", m{"validate_request_body": true}, "/", []string{"Date", date, "Authorization", good, "Digest", "SHA-256=x"}, "foo", mismatch},
		{"no digest", m{"validate_request_body": true}, "/", []string{"Date", date, "Authorization", good}, "foo", mismatch},
		{"neither digest nor body", m{"validate_request_body": true}, "/", []string{"Date", date, "Authorization", good}, "", ""},
	} {
		if c.config == nil {
			c.config = m{}
		}
		c.config["hide_credentials"] = true
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		x := plugintest.New(now, "GET", c.target, c.header...)
		x.People, x.RequestBody = people, []byte(c.body)
		p.Access(x)
		got := ""
		if x.Reply != nil {
			got = x.Reply.Message
			if x.Reply.Status != 401 || x.Reply.Header[0].Value != "hmac" {
				t.Errorf("%s: %v", c.name, x.Reply)
			}
		} else if strings.Contains(x.RequestHeader.Get("Authorization"), "hmac") {
			t.Errorf("%s: the credentials go upstream", c.name)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(authorization("al", "hmac-sha256", "date request-line", "eA=="))
	f.Fuzz(func(t *testing.T, value string) {
		if p, ok := parse(value); ok {
			again, ok := parse(authorization(p.username, p.algorithm, strings.Join(p.headers, " "), p.signature))
			if !ok || again.username != p.username || again.signature != p.signature {
				t.Errorf("%q: %v, again %v", value, p, again)
			}
		}
	})
}
