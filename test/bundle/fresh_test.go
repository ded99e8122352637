// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The bundle in the repository is the one that make bundle writes.
func TestFresh(t *testing.T) {
	output := t.TempDir()
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", "../..", "bundle", "BUNDLE_OUTPUT="+output)
	// This test may itself run under make: its flags and variables are not for the inner one.
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "VERSION", "MANAGER_IMAGE", "PROXY_IMAGE":
		default:
			command.Env = append(command.Env, variable)
		}
	}
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("make bundle: %v\n%s", err, text)
	}
	want, got := read(t, output), read(t, "../..")
	for name, content := range want {
		if held, found := got[name]; !found {
			t.Errorf("%s is missing; run \"make bundle\"", name)
		} else if !bytes.Equal(held, content) {
			t.Errorf("%s is stale; run \"make bundle\"", name)
		}
	}
	for name := range got {
		if _, found := want[name]; !found {
			t.Errorf("make bundle does not write %s; remove it", name)
		}
	}
}

// read returns bundle.Dockerfile and the files under bundle, by path.
func read(t *testing.T, root string) map[string][]byte {
	t.Helper()
	content := map[string][]byte{}
	add := func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		content[name] = text
		return err
	}
	err := filepath.WalkDir(filepath.Join(root, "bundle"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(path)
	})
	if err == nil {
		err = add(filepath.Join(root, "bundle.Dockerfile"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}
