// SPDX-License-Identifier: Apache-2.0

package typedefs_test

import (
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// message returns what the field f says to a text, "" when it accepts it.
func message(f *schema.Field, s string) string {
	v := schema.NewRecord(f).Check(map[string]any{f.Name(): s})
	if len(v) == 0 {
		return ""
	}
	return v[0].Message
}

func TestFields(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field   *schema.Field
		value   string
		message string
	}{
		{typedefs.Host("host"), "example.com", ""},
		{typedefs.Host("host"), "a_b.default.svc.", ""},
		{typedefs.Host("host"), "10.0.0.1", ""},
		{typedefs.Host("host"), "::1", ""},
		{typedefs.Host("host"), "[::1]", ""},
		{typedefs.Host("host"), "example.com:80", "must not have a port"},
		{typedefs.Host("host"), "300.0.0.1", "invalid value: 300.0.0.1"},
		{typedefs.Host("host"), "a..b", "invalid value: a..b"},
		{typedefs.Host("host"), "a-.b", "invalid value: a-.b"},
		{typedefs.Host("host"), "a b", "invalid value: a b"},
		{typedefs.Host("host"), "http://a", "invalid value: http://a"},
		{typedefs.HostWithOptionalPort("h"), "example.com:8080", ""},
		{typedefs.HostWithOptionalPort("h"), "[::1]:80", ""},
		{typedefs.HostWithOptionalPort("h"), "example.com:99999", "invalid hostname: example.com:99999"},
		{typedefs.RouteHost("h"), "*.example.com", ""},
		{typedefs.RouteHost("h"), "example.*", ""},
		{typedefs.RouteHost("h"), "example.com:8443", ""},
		{typedefs.RouteHost("h"), "*.example.*", "invalid wildcard: must have at most one wildcard"},
		{typedefs.RouteHost("h"), "ex*mple.com", "invalid wildcard: must be placed at leftmost or rightmost label"},
		{typedefs.RouteHost("h"), "*example.com", "invalid wildcard: must be placed at leftmost or rightmost label"},
		{typedefs.WildcardHost("h"), "*", ""},
		{typedefs.WildcardHost("h"), "*.a", ""},
		{typedefs.WildcardHost("h"), "a*b", "wildcard must be leftmost or rightmost character"},
		{typedefs.WildcardHost("h"), "**", "only one wildcard must be specified"},
		{typedefs.SNI("sni"), "1.2.3.4", "must not be an IP"},
		{typedefs.SNI("sni"), "a:1", "must not have a port"},
		{typedefs.IPOrCIDR("ip"), "10.0.0.0/8", ""},
		{typedefs.IPOrCIDR("ip"), "2001:db8::/32", ""},
		{typedefs.IPOrCIDR("ip"), "::1", ""},
		{typedefs.IPOrCIDR("ip"), "10.0.0.0/33", "invalid ip or cidr range: '10.0.0.0/33'"},
		{typedefs.IPOrCIDR("ip"), "fe80::1%eth0", "invalid ip or cidr range: 'fe80::1%eth0'"},
		{typedefs.URL("url"), "http://h/p?q", ""},
		{typedefs.URL("url"), "/here", "missing host in url"},
		{typedefs.URL("url"), "//h/p", "missing scheme in url"},
		{typedefs.URL("url"), "http://[", "could not parse url"},
		{typedefs.Path("p"), "/a/b%20c", ""},
		{typedefs.Path("p"), "a", "should start with: /"},
		{typedefs.Path("p"), "/a//b", "must not have empty segments"},
		{typedefs.Path("p"), "/a b", "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)"},
		{typedefs.Path("p"), "/a%zz", "invalid url-encoded value: '%zz'"},
		{typedefs.RoutePath("p"), "/a", ""},
		{typedefs.RoutePath("p"), "/sp ace", ""},
		{typedefs.RoutePath("p"), `~/api/v\d+/(?<id>[a-z]+)$`, ""},
		{typedefs.RoutePath("p"), `~/a(?!b)`, ""},
		{typedefs.RoutePath("p"), `~/a++b`, ""},
		{typedefs.RoutePath("p"), `~/(?P<n>a)(?P=n)`, ""},
		{typedefs.RoutePath("p"), `~/a\Kb`, "invalid regex: '/a\\Kb' (invalid escape sequence: `\\K`; as a pattern of PCRE: \\K is not supported: write the pattern without it)"},
		{typedefs.RoutePath("p"), "~/(a", "invalid regex: '/(a' (missing closing ): `/(a`)"},
		{typedefs.RoutePath("p"), "~a", "should start with: / (fixed path) or ~/ (regex path)"},
		{typedefs.RoutePath("p"), "a", "should start with: / (fixed path) or ~/ (regex path)"},
		{typedefs.RoutePath("p"), "~", "should start with: / (fixed path) or ~/ (regex path)"},
		{typedefs.RoutePath("p"), "/a/../b", "non-normalized path, consider use '/b' instead"},
		{typedefs.RoutePath("p"), "/a%41", "non-normalized path, consider use '/aA' instead"},
		{typedefs.RoutePath("p"), "/a%2f", "non-normalized path, consider use '/a%2F' instead"},
		{typedefs.HeaderName("h"), "X-A_1", ""},
		{typedefs.HeaderName("h"), "X A", "bad header name 'X A', allowed characters are A-Z, a-z, 0-9, '_', and '-'"},
		{typedefs.CookieName("c"), "a.b", ""},
		{typedefs.CookieName("c"), "a=b", "bad cookie name 'a=b': it must be a token of RFC 2616"},
		{typedefs.Method("m"), "get", "invalid value: get"},
		{typedefs.UTF8Name("n"), "straße-1_~.x", ""},
		{typedefs.UTF8Name("n"), "a b", "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~"},
		{typedefs.Regex("r"), "^a+$", ""},
		{typedefs.Regex("r"), "(a", "not a valid regex: (a"},
		{typedefs.Certificate("c"), "x", "invalid certificate: no PEM block of type CERTIFICATE"},
		{typedefs.PrivateKey("k"), "hunter2", "invalid key: not a PEM private key in PKCS #1, PKCS #8 or SEC 1 form"},
	}
	for _, tt := range tests {
		if got := message(tt.field, tt.value); got != tt.message {
			t.Errorf("%s %q: %q, want %q", tt.field.Name(), tt.value, got, tt.message)
		}
	}
}

func TestRouteHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values  []string
		message string
	}{
		{[]string{"a", "b"}, ""},
		{[]string{"("}, ""},
		{[]string{"~*^v[12]$"}, ""},
		{[]string{"~*^a++$"}, ""},
		{[]string{"~*(", "b"}, ""}, // of several each is a text
		{[]string{"~*("}, "invalid regex: '(' (missing closing ): `(`)"},
	} {
		got := ""
		for _, v := range schema.NewRecord(typedefs.RouteHeader("h")).Check(map[string]any{"h": tt.values}) {
			got += v.Path + ": " + v.Message
		}
		if want := tt.message; want != "" && got != "h: "+want || want == "" && got != "" {
			t.Errorf("%q: %q, want %q", tt.values, got, want)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	r := schema.NewRecord(typedefs.Tags())
	if v := r.Check(map[string]any{"tags": []string{"k8s-name:a b", "über"}}); len(v) > 0 {
		t.Errorf("good tags: %v", v)
	}
	for _, bad := range []string{"a,b", "a/b", "a\nb"} {
		if v := r.Check(map[string]any{"tags": []string{bad}}); len(v) != 1 {
			t.Errorf("tag %q: %v", bad, v)
		}
	}
}

func TestNormalizePath(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"/", "/"}, {"/a//b", "/a/b"}, {"/a/./b", "/a/b"}, {"/a/../b", "/b"}, {"/../a", "/a"}, {"/a/..", "/"},
		{"/a/b/..", "/a/"}, {"/a/.", "/a/"}, {"/a/", "/a/"}, {"/%7euser", "/~user"}, {"/a%2fb", "/a%2Fb"}, {"/a%20b", "/a b"},
		{"//", "/"}, {"/.a", "/.a"},
	}
	for _, tt := range tests {
		if got := typedefs.NormalizePath(tt.in); got != tt.want {
			t.Errorf("NormalizePath(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestMigratePath(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"/plain/path", "/plain/path"}, {"/a%2fb", "/a%2Fb"}, {"/a//b", "/a/b"}, {`/v\d+`, `~/v\d+`},
		{"/a|b%2E", `~/a|b\.`}, {"/(a)%2f", "~/(a)%2F"}, {"~/already", "~/already"},
	}
	for _, tt := range tests {
		if got := typedefs.MigratePath(tt.in); got != tt.want {
			t.Errorf("MigratePath(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want typedefs.Address
		text string
	}{
		{"a.b", typedefs.Address{Host: "a.b"}, "a.b:8000"},
		{"a.b:80", typedefs.Address{Host: "a.b", Port: 80, HasPort: true}, "a.b:8000"},
		{"1.2.3.4:80", typedefs.Address{Host: "1.2.3.4", Port: 80, HasPort: true, IsIP: true}, "1.2.3.4:8000"},
		{"[2001:db8::1]:80", typedefs.Address{Host: "2001:db8::1", Port: 80, HasPort: true, IsIP: true}, "[2001:db8::1]:8000"},
		{"2001:db8::1", typedefs.Address{Host: "2001:db8::1", IsIP: true}, "[2001:db8::1]:8000"},
	}
	for _, tt := range tests {
		got, ok := typedefs.ParseAddress(tt.in)
		if !ok || got != tt.want || got.WithPort(8000) != tt.text {
			t.Errorf("ParseAddress(%q) = %+v, %t, %s", tt.in, got, ok, got.WithPort(8000))
		}
	}
	for _, bad := range []string{"", ":80", "a:", "a:b", "[1.2.3.4]", "[::1", "1.2.3", "a/b", "*.a"} {
		if a, ok := typedefs.ParseAddress(bad); ok {
			t.Errorf("ParseAddress(%q) = %+v", bad, a)
		}
	}
}
