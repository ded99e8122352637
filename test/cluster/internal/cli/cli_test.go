// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkout makes a directory that looks like the repository.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(moduleLine), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KIG_CACHE", t.TempDir())
	return dir
}

func run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Main(args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestUsageErrors(t *testing.T) {
	repo := checkout(t)
	for want, args := range map[string][]string{
		"name a command":    {},
		"nonsense":          {"--repo", repo, "nonsense"},
		"--name":            {"--repo", repo, "--name", "Bad Name", "status"},
		"nothing-like-this": {"--repo", repo, "build", "--only", "nothing-like-this"},
		"REGISTRY_ONLY":     {"--repo", repo, "istio", "--outbound-traffic-policy", "x"},
		"image build":       {"--repo", repo, "image"},
		"at least one SRC":  {"--repo", repo, "image", "build", "--ref", "a"},
		"absolute DST":      {"--repo", repo, "image", "build", "--ref", "a", "x:y"},
		"docker-archive":    {"--repo", repo, "load-image"},
		"-no-such-flag":     {"--repo", repo, "down", "--no-such-flag"},
	} {
		if code, _, stderr := run(args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: code %d, said %q; want 2 and %q", args, code, stderr, want)
		}
	}
	if code, _, stderr := run("--help"); code != exitDone || !strings.Contains(stderr, "load-image") || strings.Contains(stderr, "__node") {
		t.Errorf("help: code %d\n%s", code, stderr)
	}
}

func TestNothingIsUp(t *testing.T) {
	repo := checkout(t)
	for _, args := range [][]string{{"kubeconfig"}, {"kubectl", "get", "pods"}, {"client", "--", "true"}, {"node", "--", "true"}, {"forward", "10.0.0.1:1"}, {"logs"}} {
		code, _, stderr := run(append([]string{"--repo", repo}, args...)...)
		if code != exitFailed || !strings.Contains(stderr, "run `up` first") {
			t.Errorf("%q: code %d, said %q", args, code, stderr)
		}
	}
	if code, _, stderr := run("--repo", repo, "down"); code != exitDone {
		t.Errorf("down: code %d, said %q", code, stderr)
	}
}

func TestStatusJSON(t *testing.T) {
	repo := checkout(t)
	// Flags may stand before or after the command.
	code, stdout, _ := run("--repo", repo, "status", "--json", "--name", "other")
	if code != exitFailed {
		t.Errorf("code %d for a stopped cluster", code)
	}
	var status map[string]any
	if err := json.Unmarshal([]byte(stdout), &status); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"name", "state", "problems", "stateDir", "logDir", "kubeconfig", "apiServer", "kubectl", "node", "client", "dns", "mesh", "loadBalancers", "components", "images", "versions"} {
		if value, ok := status[field]; !ok || value == nil {
			t.Errorf("field %s: %v", field, value)
		}
	}
	if status["name"] != "other" || status["state"] != "Stopped" {
		t.Errorf("status %v", status)
	}
}

func TestImageBuild(t *testing.T) {
	repo := checkout(t)
	program := filepath.Join(repo, "program")
	if err := os.WriteFile(program, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(repo, "out", "image.tar")
	build := func() string {
		code, stdout, stderr := run("--repo", repo, "image", "build", "--ref", "kong/manager:dev", "--user", "65532", "--entrypoint", "/manager", "--output", output, program+":/manager")
		if code != exitDone {
			t.Fatalf("code %d: %s", code, stderr)
		}
		return stdout
	}
	first := build()
	if !strings.HasPrefix(first, "docker.io/kong/manager:dev sha256:") || build() != first {
		t.Errorf("printed %q", first)
	}
	if _, err := os.Stat(output); err != nil {
		t.Error(err)
	}
}
