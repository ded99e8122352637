// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
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
		"plugins/udp-log/record":           "the record holds scheme, port and TLS of the request",
		"plugins/request-termination/echo": "the scheme is echoed",
	},
	"http2": {
		"plugins/http-log/record-":          "the record holds scheme, size and connection header of the request",
		"plugins/udp-log/record":            "the record holds scheme, size and connection header of the request",
		"plugins/request-termination/echo":  "scheme and connection header are echoed",
		"plugins/hmac-auth/request-line":    "the version in the request line is signed",
		"plugins/hmac-auth/enforce-headers": "the version in the request line is signed",
		"core/headers/oversized-headers":    "limits of lines",
	},
}

func saysElse(v Variant, name string) (why string) {
	for prefix, why := range apart[v.Name] {
		if strings.HasPrefix(name, prefix) {
			return why
		}
	}
	return ""
}

// TestRecorded runs every case in every variant. The answers of the gateway
// itself, where they differ from Kong's on purpose, are in testdata/ours;
// UPDATE_GOLDEN=1 rewrites them.
func TestRecorded(t *testing.T) {
	if os.Getenv("UPDATE_GOLDEN") != "" {
		update(t)
	}
	plane, err := StartControlPlane(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Variants(plane) {
		t.Run(v.Name, func(t *testing.T) { runAll(t, v) })
	}
	if err := plane.Close(); err != nil {
		t.Error(err)
	}
}

// cases returns the paths of all cases by name.
func cases(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir("testdata", func(path string, entry fs.DirEntry, err error) error {
		if filepath.ToSlash(path) == ownDir {
			return fs.SkipDir
		}
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

// read reads a case, and our own answer to it in its place where there is one.
func read(t *testing.T, name, path string) (*Case, *Own) {
	t.Helper()
	c, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ReadOwn(name)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case own == nil:
	case c.Quirk == "" && deliberate[name] == "":
		t.Errorf("%s: the case is not one that may differ on purpose", ownPath(name))
	default:
		if c, err = own.instead(c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return c, own
}

// outcome is what became of a case.
type outcome int

const (
	passed outcome = iota // as recorded
	asOwn                 // differs on purpose, and equals what is recorded of us
	failed
	knownToFail
	outcomes
)

// count counts outcomes.
type count [outcomes]atomic.Int32

func (c *count) String() string {
	return fmt.Sprintf("%3d pass, %d differ on purpose and equal our own recorded answer, %d fail, %d known to fail",
		c[passed].Load(), c[asOwn].Load(), c[failed].Load(), c[knownToFail].Load())
}

// folder is the part of a case's name that it is counted under.
func folder(name string) string {
	top, below, _ := strings.Cut(name, "/")
	if next, _, _ := strings.Cut(below, "/"); top == "plugins" {
		return top + "/" + next
	}
	return top
}

func runAll(t *testing.T, v Variant) {
	began := time.Now()
	all, folders := &count{}, map[string]*count{}
	left := map[string]int{} // cases that the variant cannot say, by why
	free := make(chan struct{}, max(1, atOnce/max(1, v.Together)))
	t.Run("cases", func(t *testing.T) {
		for name, path := range cases(t) {
			c, own := read(t, name, path)
			if why := cmp.Or(saysElse(v, name), v.Applies(c)); why != "" {
				left[why]++
				continue
			}
			below := folders[folder(name)]
			if below == nil {
				below = &count{}
				folders[folder(name)] = below
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				o := judge(t, name, c, own, v)
				all[o].Add(1)
				below[o].Add(1)
			})
		}
	})
	summarise(v, all, folders, left, time.Since(began))
}

// judge runs a case and fails the test if its outcome is not the one that is
// known: Kong's, or our own where that differs on purpose.
func judge(t *testing.T, name string, c *Case, own *Own, v Variant) outcome {
	problems, _, err := Run(t.Context(), c, v)
	if err != nil {
		problems = append(problems, err.Error())
	}
	reason := cmp.Or(failing[name], deliberate[name])
	switch {
	case len(problems) == 0 && own != nil:
		return asOwn
	case own != nil:
		t.Errorf("differs from our own recorded answer, %s (UPDATE_GOLDEN=1 rewrites it):\n\t%s", ownPath(name), strings.Join(problems, "\n\t"))
		return failed
	case len(problems) == 0 && reason != "":
		t.Errorf("passes: take it off the list of cases that do not (%s)", reason)
		return failed
	case len(problems) == 0:
		return passed
	case failing[name] != "":
		return knownToFail
	}
	t.Errorf("differs from the recording:\n\t%s", strings.Join(problems, "\n\t"))
	return failed
}

// update runs the cases that may differ on purpose as they were recorded, and
// keeps what comes of those that do.
func update(t *testing.T) {
	v := Variants(nil)[0]
	for name, path := range cases(t) {
		c, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.Quirk == "" && deliberate[name] == "" {
			continue
		}
		problems, own, err := Run(t.Context(), c, v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		switch {
		case len(problems) == 0:
			own = nil
		case c.Refused && !own.Accepted:
			t.Fatalf("%s: refused, but for another reason: %v", name, problems)
		}
		if err := own.write(name); err != nil {
			t.Fatal(err)
		}
	}
}

// summary is what the run comes to, printed at its end.
var summary []string

func summarise(v Variant, all *count, folders map[string]*count, left map[string]int, took time.Duration) {
	cannot := 0
	for _, n := range left {
		cannot += n
	}
	summary = append(summary, fmt.Sprintf("%s, in %.0f s", v.Name, took.Seconds()), fmt.Sprintf("  %-30s %s, %d cannot be said so", "all", all, cannot))
	if v.asRecorded() && !v.Reload && v.Together == 0 {
		for _, name := range slices.Sorted(maps.Keys(folders)) {
			summary = append(summary, fmt.Sprintf("  %-30s %s", name, folders[name]))
		}
	}
	for _, why := range slices.Sorted(maps.Keys(left)) {
		summary = append(summary, fmt.Sprintf("  %3d cannot: %s", left[why], why))
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if len(summary) > 0 {
		fmt.Println("recorded cases of Kong 3.9.3")
		fmt.Println(strings.Join(summary, "\n"))
	}
	os.Exit(code)
}
