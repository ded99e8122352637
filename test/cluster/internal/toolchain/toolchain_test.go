// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

func TestSelect(t *testing.T) {
	selected, err := Select(Modules(), []string{"etcd", "kubectl"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, module := range selected {
		for _, binary := range module.Binaries {
			got = append(got, module.Name+"/"+binary.Name)
		}
	}
	if strings.Join(got, " ") != "kubernetes/kubectl etcd/etcd" {
		t.Errorf("selected %q", got)
	}
	if all, err := Select(Modules(), nil); err != nil || len(all) != len(Modules()) {
		t.Errorf("nothing named: %d modules, %v", len(all), err)
	}
	if _, err := Select(Modules(), []string{"etcd", "nonsense"}); err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "kubelet") {
		t.Errorf("unknown name: %v", err)
	}
	// Selecting must not change what the next caller sees.
	if len(Modules()[0].Binaries) < 2 {
		t.Error("Select changed the list of modules")
	}
}

func TestToolsModulesNameWhatIsBuilt(t *testing.T) {
	for _, module := range Modules() {
		data, err := os.ReadFile(filepath.Join("..", "..", "tools", module.Name, "tools.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, binary := range module.Binaries {
			if !strings.Contains(string(data), "\""+binary.Package+"\"") {
				t.Errorf("tools/%s/tools.go does not import %s", module.Name, binary.Package)
			}
		}
	}
}

// builder works on a module of its own that needs no network.
func builder(t *testing.T, source string) (*Builder, []Module) {
	t.Helper()
	tools, cache := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		"tiny/go.mod": "module example.com/tiny\n\ngo 1.26.0\n", "tiny/go.sum": "",
		"tiny/a/main.go": source, "tiny/b/main.go": "package main\n\nfunc main() {}\n",
	} {
		path = filepath.Join(tools, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	b := &Builder{CacheDir: cache, ToolsDir: tools, Log: func(module string) string { return filepath.Join(cache, module+".log") }}
	return b, []Module{{Name: "tiny", LDFlags: "-s -w", Binaries: []Binary{{"first", "example.com/tiny/a"}, {"b", "example.com/tiny/b"}}}}
}

func TestBuildOnlyWhatIsMissing(t *testing.T) {
	b, modules := builder(t, "package main\n\nfunc main() {}\n")
	one := []Module{modules[0]}
	one[0].Binaries = one[0].Binaries[:1]
	paths, err := b.Build(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(paths["first"])
	if err != nil {
		t.Fatal(err)
	}
	_, modules = builder(t, "")
	paths, err = b.Build(t.Context(), modules)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(paths["first"])
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("first was built again: %v", err)
	}
	dir, err := Assets(b.CacheDir, Paths{"b": paths["b"]})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("assets hold %v, %v; want only b", entries, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); err != nil {
		t.Error(err)
	}
}

func TestBuildFailureShowsTheLog(t *testing.T) {
	b, modules := builder(t, "package main\n\nfunc main() { undefined() }\n")
	_, err := b.Build(t.Context(), modules)
	var failure *progress.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("error %v, want a Failure", err)
	}
	if !strings.Contains(err.Error(), "tiny") || !strings.Contains(err.Error(), "undefined") {
		t.Errorf("message %s", err)
	}
}

func TestKeyDependsOnModule(t *testing.T) {
	b, modules := builder(t, "package main\n\nfunc main() {}\n")
	first, err := b.directory(modules[0], "go1")
	if err != nil {
		t.Fatal(err)
	}
	flags := modules[0]
	flags.Tags = "x"
	for name, dir := range map[string]func() (string, error){
		"toolchain": func() (string, error) { return b.directory(modules[0], "go2") },
		"tags":      func() (string, error) { return b.directory(flags, "go1") },
	} {
		if other, err := dir(); err != nil || other == first {
			t.Errorf("%s does not change the key: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(b.ToolsDir, "tiny", "go.sum"), []byte("x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if other, err := b.directory(modules[0], "go1"); err != nil || other == first {
		t.Errorf("go.sum does not change the key: %v", err)
	}
}
