// SPDX-License-Identifier: Apache-2.0

package nodeconfig

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/toolchain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func plan(t *testing.T) layout.Cluster {
	t.Helper()
	c, err := layout.New("kig", "/state", "/src", "/cache")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func toolPaths() map[string]string {
	tools := map[string]string{}
	for _, module := range toolchain.Modules() {
		for _, binary := range module.Binaries {
			tools[binary.Name] = "/cache/tools/" + module.Name + "/" + binary.Name
		}
	}
	return tools
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it, then run with -update\n%s", path, got)
	}
}

func TestFilesGolden(t *testing.T) {
	files, err := Files(plan(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 4 {
		t.Errorf("%d files, want 4", len(files))
	}
	for path, data := range files {
		golden(t, filepath.Base(path), string(data))
	}
}

func components(t *testing.T, revision string) map[string]node.Spec {
	t.Helper()
	specs, err := Components(plan(t), toolPaths(), revision, 21000)
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

func TestComponentsGolden(t *testing.T) {
	specs := components(t, "r1")
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		spec := specs[name]
		if err := spec.Validate(); err != nil {
			t.Error(err)
		}
		out.WriteString(name + "\n  " + strings.Join(spec.Args, "\n  ") + "\n")
		for _, env := range spec.Env {
			out.WriteString("  env " + env + "\n")
		}
	}
	golden(t, "components.txt", out.String())
}

func TestRevisionRestartsOnlyOurOwnProgram(t *testing.T) {
	before, after := components(t, "r1"), components(t, "r2")
	for name := range before {
		if changed := before[name].Revision != after[name].Revision; changed != (name == Access) {
			t.Errorf("%s: changed %t", name, changed)
		}
	}
}

func TestEveryReferencedPairIsIssued(t *testing.T) {
	identities := Identities()
	for name, spec := range components(t, "r1") {
		for _, arg := range spec.Args {
			_, path, ok := strings.Cut(arg, "=")
			if !ok || !strings.HasPrefix(path, "/state/pki/") {
				continue
			}
			pair := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".crt"), ".key"), ".conf")
			if _, known := identities[pair]; !known && pair != pki.CAName && pair != pki.SigningName {
				t.Errorf("%s refers to %s, which nobody makes", name, path)
			}
		}
	}
}

func TestWrite(t *testing.T) {
	c, err := layout.New("kig", t.TempDir(), "/src", "/cache")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Write(c, 21000, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for path, server := range map[string]string{
		c.Kubeconfig():               "https://127.0.0.1:21000",
		kubeconfigFile(c, "kubelet"): "https://127.0.0.1:6443",
	} {
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		if config.Host != server {
			t.Errorf("%s leads to %s, want %s", path, config.Host, server)
		}
	}
}
