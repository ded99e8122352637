// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// IstioDefinitions returns the file with Istio's CustomResourceDefinitions, a path for Start, from the module that
// declares them, in the version that the local cluster runs. The product's own module does without it.
func IstioDefinitions(ctx context.Context) (string, error) {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", "istio.io/api")
	download.Dir = filepath.Join(Root(), "test", "cluster", "tools", "istio")
	var module struct{ Dir, Error string }
	out, err := download.Output()
	if json.Unmarshal(out, &module) == nil && module.Error != "" {
		return "", fmt.Errorf("finding module istio.io/api: %s", module.Error)
	}
	if err != nil || module.Dir == "" {
		return "", fmt.Errorf("finding module istio.io/api: %w: %s", err, out)
	}
	return filepath.Rel(Root(), filepath.Join(module.Dir, "kubernetes", "customresourcedefinitions.gen.yaml"))
}
