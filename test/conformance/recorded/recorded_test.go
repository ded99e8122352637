// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"cmp"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// failing are the cases that are known to fail today, and why. A case that
// passes must leave the list.
var failing = map[string]string{
	"plugins/_refused/ldap-both-tls":              "plugin ldap-auth",
	"plugins/_refused/ldap-required":              "plugin ldap-auth",
	"plugins/_refused/oauth2-mandatory-scope":     "plugin oauth2",
	"plugins/_refused/webhooks-no-secret":         "plugin standard-webhooks",
	"plugins/http-log/record-set-serialize-value": "plugin pre-function",
}

// deliberate are the cases whose recorded answer is not followed although it is
// not marked as a quirk. Each has a line in docs/kong-differences.md.
var deliberate = map[string]string{
	"core/body/response-1xx":                         "an interim 100 is not taken for the answer (RFC 9110 §15.2)",
	"plugins/_auth-combined/consumer-groups-refused": "consumer groups, which are Kong's enterprise edition's, are accepted",
}

// atOnce is how many cases run at a time: most of a case is waiting.
const atOnce = 16

// apart are cases, or folders of them, that must say something else over TLS
// or in HTTP/2, and why.
var apart = map[string]map[string]string{
	"tls": {
		"plugins/http-log/record-":         "the record holds scheme, port and TLS of the request",
		"plugins/request-termination/echo": "the scheme is echoed",
	},
	"http2": {
		"plugins/http-log/record-":          "the record holds scheme, size and connection header of the request",
		"plugins/request-termination/echo":  "scheme and connection header are echoed",
		"plugins/hmac-auth/request-line":    "the version in the request line is signed",
		"plugins/hmac-auth/enforce-headers": "the version in the request line is signed",
		"core/headers/oversized-headers":    "limits of lines",
	},
}

func saysElse(v Variant, name string) bool {
	for prefix := range apart[v.Name] {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestRecorded(t *testing.T) {
	for _, v := range Variants() {
		t.Run(v.Name, func(t *testing.T) { runAll(t, v) })
	}
}

// cases returns the paths of all cases by name.
func cases(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir("testdata", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".json" {
			out[strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), "testdata/"), ".json")] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(failing)), slices.Collect(maps.Keys(deliberate))) {
		if out[name] == "" {
			t.Errorf("%s: there is no such case", name)
		}
	}
	return out
}

func runAll(t *testing.T, v Variant) {
	var passed, failed, quirks, known, none atomic.Int32
	free := make(chan struct{}, atOnce)
	t.Run("cases", func(t *testing.T) {
		for name, path := range cases(t) {
			c, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			if saysElse(v, name) || v.Applies(c) != "" {
				none.Add(1)
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				problems, err := Run(t.Context(), c, v)
				if err != nil {
					problems = append(problems, err.Error())
				}
				reason := cmp.Or(failing[name], deliberate[name])
				switch {
				case len(problems) == 0 && reason != "":
					t.Errorf("passes: take it off the list of cases that do not (%s)", reason)
				case len(problems) == 0:
					passed.Add(1)
				case c.Quirk != "" || deliberate[name] != "":
					quirks.Add(1)
				case reason != "":
					known.Add(1)
				default:
					failed.Add(1)
					t.Errorf("differs from the recording:\n\t%s", strings.Join(problems, "\n\t"))
				}
			})
		}
	})
	t.Logf("%s: %d passed, %d failed (%d of them known), %d differ on purpose, %d cannot be said so",
		v.Name, passed.Load(), failed.Load()+known.Load(), known.Load(), quirks.Load(), none.Load())
}
