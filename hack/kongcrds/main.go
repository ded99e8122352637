// SPDX-License-Identifier: Apache-2.0

// Command kongcrds copies the CustomResourceDefinitions of Kong's ingress controller, from the
// version of github.com/kong/kubernetes-configuration that go.mod names, into the directory given as
// its only argument, with a kustomization and the licence. What else is in that directory and ends
// in .yaml is removed.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	module = "github.com/kong/kubernetes-configuration"
	source = "config/crd/ingress-controller"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kongcrds <directory>")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "kongcrds:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, target string) error {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("find module %s (run \"go mod download\" first): %w", module, err)
	}
	version, directory, found := strings.Cut(strings.TrimSpace(string(output)), " ")
	if !found {
		return fmt.Errorf("module %s is not in the module cache; run \"go mod download %s\"", module, module)
	}
	files, err := filepath.Glob(filepath.Join(directory, source, "configuration.konghq.com_*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(fmt.Errorf("%s %s holds no CRDs in %s", module, version, source), err)
	}
	return write(target, version, directory, files)
}

func write(target, version, directory string, files []string) error {
	old, err := filepath.Glob(filepath.Join(target, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	header := fmt.Sprintf("# Copied from %s %s, %s (MIT, see LICENSE). Do not edit.\n", module, version, source)
	var index bytes.Buffer
	index.WriteString(header + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name := filepath.Base(file)
		if err := os.WriteFile(filepath.Join(target, name), append([]byte(header), text...), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&index, "- %s\n", name)
	}
	if err := os.WriteFile(filepath.Join(target, "kustomization.yaml"), index.Bytes(), 0o644); err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(directory, "LICENSE"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(target, "LICENSE"), licence, 0o644)
}
