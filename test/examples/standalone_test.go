// SPDX-License-Identifier: Apache-2.0

// Package examples runs the examples that need no cluster. Those that need one
// are run by test/e2e.
package examples

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// build builds one of the programs, manager or proxy, as the Makefile does.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	command := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/"+name) // #nosec G204 -- a constant
	command.Dir = "../.."
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func get(ctx context.Context, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// TestStandalone runs examples/standalone as its first lines say, with a
// backend on a free port.
func TestStandalone(t *testing.T) {
	program := build(t, "proxy")
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "backend got %s", r.URL.Path)
	}))
	defer backend.Close()
	text, err := os.ReadFile("../../examples/standalone/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "kong.yml")
	text = bytes.ReplaceAll(text, []byte("http://127.0.0.1:9000"), []byte(backend.URL))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, "config", "check", config).CombinedOutput(); err != nil {
		t.Fatalf("config check: %v\n%s", err, out)
	}

	proxy, status := freeAddress(t), freeAddress(t)
	var log bytes.Buffer
	command := exec.CommandContext(t.Context(), program, "--declarative-config", config, "--proxy-listen", proxy, "--status-listen", status)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	awaitReady(t, "http://"+status+"/status/ready", ended)

	if code, body, err := get(t.Context(), "http://"+proxy+"/hello"); code != 200 || body != `{"message":"hello"}` {
		t.Errorf("/hello: %d %q %v", code, body, err)
	}
	if code, body, err := get(t.Context(), "http://"+proxy+"/echo/x"); code != 200 || body != "backend got /x" {
		t.Errorf("/echo/x: %d %q %v", code, body, err)
	}
	limited := 0
	for range 10 {
		if code, _, _ := get(t.Context(), "http://"+proxy+"/echo/x"); code == 429 {
			limited++
		}
	}
	// A minute may have ended in between; then a second five are admitted.
	if limited == 0 {
		t.Error("eleven requests, and none was over the limit of five a minute")
	}

	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, log.String())
		}
	case <-time.After(10 * time.Second):
		t.Error("did not end within 10 s of SIGTERM")
	}
}

func awaitReady(t *testing.T, url string, ended <-chan error) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if code, _, err := get(t.Context(), url); err == nil && code == 200 {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("the proxy ended: %v", err)
		case <-deadline:
			t.Fatal("not ready within 20 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestConfigDiff compares the example with an edited copy.
func TestConfigDiff(t *testing.T) {
	program := build(t, "proxy")
	text, err := os.ReadFile("../../examples/standalone/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(t.TempDir(), "kong.yml")
	if err := os.WriteFile(edited, bytes.ReplaceAll(text, []byte("minute: 5"), []byte("minute: 6")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "config", "diff", "../../examples/standalone/kong.yml", edited).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "rate-limiting") {
		t.Errorf("diff of two different files: %v\n%s", err, out)
	}
}
