// SPDX-License-Identifier: Apache-2.0

package fragment

import (
	"slices"
	"testing"
)

func TestTagsNameTheObject(t *testing.T) {
	for _, r := range []ObjectRef{
		{Group: "configuration.konghq.com", Version: "v1", Kind: "KongPlugin", Namespace: "shop", Name: "limit", UID: "u-1"},
		{Version: "v1", Kind: "Service", Namespace: "shop", Name: "web"},
		{Group: "configuration.konghq.com", Version: "v1", Kind: "KongClusterPlugin", Name: "ips"},
	} {
		tags := Tags(r, map[string]string{AnnotationTags: "team-a, a/b, k8s-namespace:bank, k8s-uid:1, team-a," + ManagedTag})
		if got, ok := ObjectOf(tags); !ok || got != r {
			t.Errorf("tags %q name %+v, want %+v", tags, got, r)
		}
		if n := len(tags); tags[n-1] != "team-a" || slices.Contains(tags, "a/b") || tags[n-2] != ManagedTag {
			t.Errorf("tags are %q", tags)
		}
	}
	if _, ok := ObjectOf([]string{"mine", "k8s-name:x"}); ok {
		t.Error("tags without a kind name an object")
	}
}

func TestOwns(t *testing.T) {
	kong, other := "kong", "other"
	for name, tc := range map[string]struct {
		settings    Settings
		annotations map[string]string
		spec        *string
		want        bool
	}{
		"annotation":             {Settings{Class: "kong"}, map[string]string{AnnotationClass: "kong"}, nil, true},
		"annotation beats field": {Settings{Class: "kong"}, map[string]string{AnnotationClass: "kong"}, &other, true},
		"and the other way":      {Settings{Class: "kong"}, map[string]string{AnnotationClass: "other"}, &kong, false},
		"field":                  {Settings{Class: "kong"}, nil, &kong, true},
		"another class":          {Settings{Class: "kong", DefaultClass: true}, nil, &other, false},
		"none":                   {Settings{Class: "kong"}, nil, nil, false},
		"none, default":          {Settings{Class: "kong", DefaultClass: true}, nil, nil, true},
	} {
		if got := tc.settings.Owns(tc.annotations, tc.spec); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSamePort holds that one number is two ports of a Service, TCP and UDP.
func TestSamePort(t *testing.T) {
	tcp, udp := Backend{Service: "dns", Port: 53, Protocol: "tcp"}, Backend{Service: "dns", Port: 53, Protocol: "udp"}
	if tcp.SamePort(udp) || !tcp.SamePort(Backend{Service: "dns", Port: 53}) || !udp.SamePort(udp) {
		t.Error("ports of TCP and UDP are taken for each other")
	}
}
