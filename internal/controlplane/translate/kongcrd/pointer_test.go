// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// oneSecret answers with the same Secret to every question for one.
type oneSecret struct {
	fragment.Refs
	secret *corev1.Secret
}

func (o oneSecret) Secret(string, string) *corev1.Secret { return o.secret }

func patched(document, path string) (string, *fault) {
	refs := oneSecret{secret: &corev1.Secret{Data: map[string][]byte{"k": []byte("1")}}}
	out, bad := patch{path: path, from: secretKey{"ns", "s", "k"}}.apply(refs, []byte(document), "configPatches[0]")
	return string(out), bad
}

func TestPatchNeverFillsLists(t *testing.T) {
	for _, tc := range []struct{ document, path, want string }{
		{`{}`, "/headers/x-key", `{"headers":{"x-key":1}}`},
		{`{"a/b":{}}`, "/a~1b/c~0d", `{"a/b":{"c~d":1}}`},
		{`{}`, "/allow/-", `{"allow":[1]}`},
		{`{}`, "/allow/0", `{"allow":[1]}`},
		{`{}`, "/allow/0/x", `{"allow":[{"x":1}]}`},
		{`{"allow":["a"]}`, "/allow/1", `{"allow":["a",1]}`},
		{`{"allow":["a"]}`, "/allow/1/x", `{"allow":["a",{"x":1}]}`},
		{`{"allow":[{"y":2}]}`, "/allow/0/x", `{"allow":[{"y":2,"x":1}]}`},
		{`{"limits":{"7":{}}}`, "/limits/7/x", `{"limits":{"7":{"x":1}}}`},
		{`{"limits":{}}`, "/limits/200", `{"limits":{"200":1}}`},
		{`{}`, "/allow/1", ""},
		{`{}`, "/allow/2/x", ""},
		{`{"allow":null}`, "/allow/3/x", ""},
		{`{"allow":["a"]}`, "/allow/2", ""},
		{`{"allow":["a"]}`, "/allow/3/x", ""},
		{`{"allow":["a"]}`, "/allow/1/3/x", ""},
		{`{}`, "/allow/0/3/x", ""},
		{`{}`, "/allow/-/3/x", ""},
		{`{}`, strings.Repeat("/0", 50000), ""},
	} {
		got, bad := patched(tc.document, tc.path)
		if tc.want == "" {
			if bad == nil {
				t.Errorf("%s at %.40q became %.100s", tc.document, tc.path, got)
			} else if len(bad.message) > 1000 {
				t.Errorf("%s at %.40q: a message of %d bytes", tc.document, tc.path, len(bad.message))
			}
			continue
		}
		if bad != nil || got != tc.want {
			t.Errorf("%s at %q = %s, %+v; want %s", tc.document, tc.path, got, bad, tc.want)
		}
	}
}

// FuzzPatch holds that one patch adds one value, and never more than a few
// elements.
func FuzzPatch(f *testing.F) {
	for _, path := range []string{"/a/0", "/a/9/b", "/a/-1/9", "//", "/~2", "/a/-/7", "a", "/a/+9/x", "/a/b/c"} {
		f.Add(`{"a":[1,{"b":null}]}`, path)
	}
	f.Fuzz(func(t *testing.T, document, path string) {
		if !json.Valid([]byte(document)) || !strings.HasPrefix(document, "{") {
			return
		}
		before := strings.Count(document, "null")
		got, bad := patched(document, path)
		if bad == nil && strings.Count(got, "null") > before+strings.Count(path, "null") {
			t.Errorf("%s at %q became %.200s", document, path, got)
		}
	})
}
