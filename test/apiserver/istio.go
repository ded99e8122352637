// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	_ "istio.io/api/label" // keeps the module that declares Istio's kinds in go.mod
)

// IstioDefinitions returns the file with Istio's CustomResourceDefinitions, of the version of module istio.io/api in
// go.mod. It is a path for Start.
func IstioDefinitions(ctx context.Context) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api")
	list.Dir = Root()
	out, err := list.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("finding module istio.io/api: %w: %s", err, out)
	}
	return filepath.Rel(Root(), filepath.Join(strings.TrimSpace(string(out)), "kubernetes", "customresourcedefinitions.gen.yaml"))
}
