// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
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
