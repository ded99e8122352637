// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"strings"
	"testing"
)

// pathCases give a path as sent, as matched, and as forwarded, by Kong's rules.
var pathCases = []struct{ raw, normal, forwarded string }{
	{"/", "/", "/"},
	{"/a/b", "/a/b", "/a/b"},
	{"/a/", "/a/", "/a/"},
	{"*", "*", "*"},
	{"", "", ""},
	{"//", "/", "/"},
	{"///a//b//", "/a/b/", "/a/b/"},
	{"/.", "/", "/"},
	{"/..", "/", "/"},
	{"/../../a", "/a", "/a"},
	{"/a/.", "/a/", "/a/"},
	{"/a/..", "/", "/"},
	{"/a/b/..", "/a/", "/a/"},
	{"/a/./b/../c", "/a/c", "/a/c"},
	{"/a//../b", "/b", "/b"},
	{"/a/...", "/a/...", "/a/..."},
	{"/.hidden/..x/x..", "/.hidden/..x/x..", "/.hidden/..x/x.."},
	{"/%2e%2E/%2e/a", "/a", "/a"},
	{"/a/%2e%2e%2fb", "/a/..%2Fb", "/a/..%2Fb"},
	{"/%41%7e%2D", "/A~-", "/A~-"},
	{"/a%2Fb%2fc", "/a%2Fb%2Fc", "/a%2Fb%2Fc"},
	{"/a%252Fb", "/a%252Fb", "/a%252Fb"},
	{"/a%25%34%31", "/a%2541", "/a%2541"},
	{"/a%20b%09", "/a b\t", "/a%20b%09"},
	{"/%0d%0a", "/\r\n", "/%0D%0A"},
	{"/%c3%bc\xc3\xbc", "/\xc3\xbc\xc3\xbc", "/%C3%BC%C3%BC"},
	{"/a\"<>|^`{}\\", "/a\"<>|^`{}\\", "/a%22%3C%3E%7C%5E%60%7B%7D%5C"},
	{"/!$&'()*+,;=:@[]", "/!$&'()*+,;=:@[]", "/!$&'()*+,;=:@[]"},
	{"/a%", "/a%", "/a%"},
	{"/a%zz%4", "/a%zz%4", "/a%zz%4"},
}

func TestPaths(t *testing.T) {
	for _, c := range pathCases {
		normal := NormalizePath(nil, []byte(c.raw))
		if string(normal) != c.normal {
			t.Errorf("NormalizePath(%q) = %q, want %q", c.raw, normal, c.normal)
		}
		if got := EscapePath(nil, normal); string(got) != c.forwarded {
			t.Errorf("EscapePath(%q) = %q, want %q", normal, got, c.forwarded)
		}
		in := []byte(c.raw)
		if got := NormalizePath(in, in); string(got) != c.normal {
			t.Errorf("NormalizePath(%q) in place = %q, want %q", c.raw, got, c.normal)
		}
	}
}

func TestPlainPathsAreLeftAlone(t *testing.T) {
	limits := DefaultLimits()
	for _, c := range pathCases {
		var r Request
		if _, err := parseWhole("GET "+c.raw+" HTTP/1.1\r\nHost: x\r\n\r\n", &limits, &r); err != nil {
			continue
		}
		if r.PlainPath && (c.normal != c.raw || c.forwarded != c.raw) {
			t.Errorf("%q is taken for plain", c.raw)
		}
		normal := NormalizePath(nil, r.Path)
		if r.PlainPath && (&normal[0] != &r.Path[0] || &EscapePath(nil, normal)[0] != &r.Path[0]) {
			t.Errorf("%q was copied", c.raw)
		}
	}
	scratch := make([]byte, 0, 64)
	dirty := []byte("/a/../b%20c//d")
	if n := testing.AllocsPerRun(100, func() { scratch = NormalizePath(scratch, dirty) }); n != 0 {
		t.Errorf("%v allocations with a scratch buffer", n)
	}
}

func FuzzPath(f *testing.F) {
	for _, c := range pathCases {
		f.Add(c.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		raw = "/" + raw
		normal := string(NormalizePath(nil, []byte(raw)))
		in := []byte(raw)
		if got := NormalizePath(in, in); string(got) != normal {
			t.Fatalf("%q in place: %q, want %q", raw, got, normal)
		}
		forwarded := EscapePath(nil, []byte(normal))
		if skipVisible(forwarded, 0) != len(forwarded) || forwarded[0] != '/' {
			t.Fatalf("%q is forwarded as %q", raw, forwarded)
		}
		for _, bad := range []string{"//", "/./", "/../"} {
			if strings.Contains(normal, bad) {
				t.Fatalf("%q became %q", raw, normal)
			}
		}
		if soundPath([]byte(raw)) {
			if again := NormalizePath(nil, forwarded); string(EscapePath(nil, again)) != string(forwarded) {
				t.Fatalf("%q is forwarded as %q, and that as %q", raw, forwarded, again)
			}
		}
	})
}
