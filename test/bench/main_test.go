// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func build(t *testing.T, dir, what, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), to)
	command := exec.CommandContext(t.Context(), "go", "build", "-o", path, what) // #nosec G204 -- constants
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", what, err, out)
	}
	return path
}

// The whole way once, shortly: the gateway alone, with every protocol, and with
// its configuration from the stream.
func TestSmoke(t *testing.T) {
	proxy, bench := build(t, "../..", "./cmd/proxy", "proxy"), build(t, ".", ".", "bench")
	for _, c := range []struct {
		only, window string
		want         []string
	}{
		{"plain,log,keyauth,tls,http2,latency", "60ms", []string{
			"| plain, 64 connections | ours | ", "| access log | ours | ", "by consumer) | ours | ", "| HTTP/2 over TLS, 16 connections of 4 streams | ours | ",
			"| TLS, a full handshake per request | ours | ",
		}},
		// Long enough for a few changes.
		{"changes", "250ms", []string{"| the same, 10 changes a second | ours | ", "| no requests, one change after another | ours | "}},
	} {
		t.Run(c.only, func(t *testing.T) { smoke(t, proxy, bench, c.only, c.window, c.want) })
	}
}

func smoke(t *testing.T, proxy, bench, only, window string, wanted []string) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	output := filepath.Join(t.TempDir(), "performance.md")
	command := exec.CommandContext(ctx, bench, "-proxy", proxy, "-tools", "tools", "-peers", "none", "-rounds", "1", "-warmup", "20ms", // #nosec G204 -- built here
		"-window", window, "-only", only, "-output", output)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range wanted {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(string(text), "failed") {
		t.Errorf("something failed:\n%s", text)
	}
}

func TestUnknownSection(t *testing.T) {
	if err := run(t.Context(), []string{"-only", "plain,router"}); err == nil || !strings.Contains(err.Error(), `"router"`) {
		t.Errorf("error %v", err)
	}
}

func TestOneCoreIsRefused(t *testing.T) {
	if err := run(t.Context(), []string{"-load-core", "0"}); err == nil {
		t.Error("proxy and load share a core")
	}
}
