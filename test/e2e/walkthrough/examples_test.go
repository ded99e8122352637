// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSteps holds that the steps of every example can be read, and that every
// manifest is applied by one of them.
func TestSteps(t *testing.T) {
	root := "../../../examples/kong"
	folders, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		steps, err := readSteps(filepath.Join(root, f.Name(), "steps.txt"))
		if err != nil {
			t.Error(err)
			continue
		}
		applied := map[string]bool{}
		for _, s := range steps {
			applied[s.Apply] = true
		}
		manifests, err := filepath.Glob(filepath.Join(root, f.Name(), "*.yaml"))
		if err != nil || len(manifests) == 0 {
			t.Errorf("%s: no manifests (%v)", f.Name(), err)
		}
		for _, m := range manifests {
			if !applied[filepath.Base(m)] {
				t.Errorf("%s is applied by no step", m)
			}
		}
	}
}

// TestStepsThatShowNothing holds that a step must say what proves it.
func TestStepsThatShowNothing(t *testing.T) {
	for text, want := range map[string]string{
		"request: {path: /}":                                      "one of status and statuses",
		"request: {path: /}\n  statuses: {}":                      "one of status and statuses",
		"request: {path: /}\n  status: 200\n  statuses: {200: 1}": "one of status and statuses",
		"request: {path: /, count: 3}\n  statuses: {200: 2}":      "statuses are of 2 requests, count is 3",
		"request: {path: /}\n  statuses: {200: 1}\n  holds: [a]":  "all that is looked at",
		"request: {path: /}\n  statuses: {200: 1}\n  matches: a":  "all that is looked at",
		"query: {port: 53, name: a}":                              "any answer would do",
		"kubectl: [version]\n  status: 200":                       "are a request's",
		"kubectl: [version]\n  matches: (":                        "matches: ",
		"apply: a.yaml\n  delete: a.yaml":                         "one of apply, delete",
	} {
		path := filepath.Join(t.TempDir(), "steps.txt")
		if err := os.WriteFile(path, []byte("- what: it\n  "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readSteps(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestEveryAnswerCounts holds that no answer may differ from what a step says.
func TestEveryAnswerCounts(t *testing.T) {
	const address = "192.0.2.7"
	ok, bad := answer{Status: 200, Body: "at 192.0.2.7"}, answer{Status: 500, Body: "at 192.0.2.7"}
	three := &stepRequest{Count: 3}
	all := step{Request: three, Status: 200, Holds: []string{"at"}, Matches: "^at ADDRESS$"}
	some := step{Request: three, Statuses: map[int]int{200: 2, 500: 1}}
	for name, tt := range map[string]struct {
		step step
		list []answer
		good bool
	}{
		"each":             {all, []answer{ok, ok, ok}, true},
		"the last":         {all, []answer{ok, ok, bad}, false},
		"one is missing":   {all, []answer{ok, ok}, false},
		"one failed":       {all, []answer{ok, ok, {Error: "refused"}}, false},
		"other text":       {all, []answer{ok, ok, {Status: 200, Body: "at 192.0.2.70"}}, false},
		"a dot is a dot":   {all, []answer{ok, ok, {Status: 200, Body: "at 192x0.2.7"}}, false},
		"counts":           {some, []answer{ok, bad, ok}, true},
		"one status more":  {some, []answer{ok, {Status: 404}, ok}, false},
		"too few of one":   {some, []answer{ok, bad, bad}, false},
		"further statuses": {step{Request: three, Statuses: map[int]int{200: 2}}, []answer{ok, ok, bad}, false},
	} {
		if got, err := tt.step.answers(tt.list, address); (err == nil) != tt.good {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
