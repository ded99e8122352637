// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestKong translates every folder of examples/kong as its README says users
// can: what a folder is about may be a problem, nothing else is.
func TestKong(t *testing.T) {
	program := build(t, "manager")
	problems := map[string]string{
		"bad-input": "Ingress shop/unguarded metadata.annotations[konghq.com/plugins]: PluginNotFound",
		"streams":   "Service kube-system/kube-dns does not exist", // the cluster's own
	}
	folders, err := os.ReadDir("../../examples/kong")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		t.Run(f.Name(), func(t *testing.T) {
			var out, told bytes.Buffer
			command := exec.CommandContext(t.Context(), program, "translate", "--mesh=off", //nolint:gosec // folders of this repository
				"-f", "../../examples/kong/backends", "-f", filepath.Join("../../examples/kong", f.Name()))
			command.Stdout, command.Stderr = &out, &told
			err := command.Run()
			want := problems[f.Name()]
			if (err == nil) != (want == "") {
				t.Errorf("%v", err)
			}
			got := strings.Split(strings.TrimSpace(told.String()), "\n")
			wanted := strings.Split(want, "\n")
			if !slices.EqualFunc(got, wanted, strings.Contains) || want == "" && told.Len() > 0 {
				t.Errorf("problems:\n%s\nwant:\n%s", told.String(), want)
			}
			if !strings.Contains(out.String(), `_format_version: "3.0"`) {
				t.Errorf("no declarative file: %.200s", out.String())
			}
		})
	}
}
