// SPDX-License-Identifier: Apache-2.0

package ingress

import (
	"slices"
	"strings"
	"testing"

	netv1 "k8s.io/api/networking/v1"
)

func TestKongPaths(t *testing.T) {
	prefix, exact, specific := netv1.PathTypePrefix, netv1.PathTypeExact, netv1.PathTypeImplementationSpecific
	for _, tc := range []struct {
		path   string
		kind   *netv1.PathType
		marker string
		want   []string
	}{
		{"/foo", &prefix, "/~", []string{"/foo/", "~/foo$"}},
		{"/foo/", &prefix, "/~", []string{"/foo/", "~/foo$"}},
		{"/", &prefix, "/~", []string{"/"}},
		{"", &prefix, "/~", []string{"/"}},
		{"/a//b", &prefix, "/~", []string{"/a/b/", "~/a/b$"}},
		{"/~/foo", &prefix, "/~", []string{"~/foo/", "~/~/foo$"}},
		{"/foo", &exact, "/~", []string{"~/foo$"}},
		{"/foo/", &exact, "/~", []string{"~/foo/$"}},
		{"/", &exact, "/~", []string{"~/$"}},
		{"/~/foo", &exact, "/~", []string{"~/~/foo$"}},
		{"/foo", &specific, "/~", []string{"/foo"}},
		{"/foo", nil, "/~", []string{"/foo"}},
		{"", &specific, "/~", []string{"/"}},
		{`/~/foo/\d+`, &specific, "/~", []string{`~/foo/\d+`}},
		{"/re:/x", &specific, "/re:", []string{"~/x"}},
		{"/~/x", &specific, "/re:", []string{"/~/x"}},
	} {
		if got := appendKongPaths(nil, tc.path, tc.kind, regexMarker{prefix: tc.marker}); !slices.Equal(got, tc.want) {
			t.Errorf("appendKongPaths(%q, %v, %q) = %q, want %q", tc.path, tc.kind, tc.marker, got, tc.want)
		}
	}
}

// TestLegacyRegexDetection holds that with the class parameter every path with
// a character of a regular expression becomes one, and no other path changes.
func TestLegacyRegexDetection(t *testing.T) {
	prefix, exact, specific := netv1.PathTypePrefix, netv1.PathTypeExact, netv1.PathTypeImplementationSpecific
	for _, tc := range []struct {
		path string
		kind *netv1.PathType
		want []string
	}{
		{`/foo/\d+`, &specific, []string{`~/foo/\d+`}},
		{"/foo.bar-baz_~/%20", &specific, []string{"/foo.bar-baz_~/%20"}},
		{"/foo+", &prefix, []string{"~/foo+/", "~/foo+$"}},
		{"/foo", &prefix, []string{"/foo/", "~/foo$"}},
		{"/foo*", &exact, []string{"~/foo*$"}},
		{"/~/foo+", &specific, []string{"~/foo+"}},
	} {
		if got := appendKongPaths(nil, tc.path, tc.kind, regexMarker{prefix: "/~", legacy: true}); !slices.Equal(got, tc.want) {
			t.Errorf("appendKongPaths(%q, %v) = %q, want %q", tc.path, *tc.kind, got, tc.want)
		}
	}
}

// FuzzKongPaths holds that every path is a prefix or a regular expression that
// starts at the root.
func FuzzKongPaths(f *testing.F) {
	for _, path := range []string{"/", "/foo", "//a//", "/~/x", "/~^/", ""} {
		f.Add(path, uint8(0))
		f.Add(path, uint8(1))
		f.Add(path, uint8(2))
	}
	kinds := []netv1.PathType{netv1.PathTypePrefix, netv1.PathTypeExact, netv1.PathTypeImplementationSpecific}
	f.Fuzz(func(t *testing.T, path string, kind uint8) {
		if path != "" && !strings.HasPrefix(path, "/") {
			return // the API server refuses it
		}
		for _, p := range appendKongPaths(nil, path, &kinds[int(kind)%len(kinds)], regexMarker{prefix: "/~", legacy: kind > 100}) {
			if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "~") {
				t.Errorf("%q became %q", path, p)
			}
			if strings.Contains(p, "//") {
				t.Errorf("%q became %q, with empty segments", path, p)
			}
		}
	})
}
