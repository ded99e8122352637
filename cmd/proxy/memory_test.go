// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// idleResident bounds what a proxy that has nothing to do keeps in memory, in
// bytes.
const idleResident = 30 << 20

// A proxy without traffic is small.
func TestIdleResidentMemory(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "proxy")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".")
	// As it is shipped, whatever the test is built with.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	file := filepath.Join(dir, "kong.yml")
	config := "_format_version: \"3.0\"\nservices:\n- {name: s, url: \"http://127.0.0.1:9\", routes: [{name: r, paths: [/]}]}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	status := freeAddress(t)
	proxy := exec.CommandContext(t.Context(), binary, "--declarative-config", file, "--proxy-listen", "127.0.0.1:0", "--status-listen", status)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
	})
	until(t, "the proxy to be ready", func() bool { return isReady(status) })
	if n := resident(t, proxy.Process.Pid); n > idleResident {
		t.Errorf("%d bytes are resident, at most %d are allowed", n, idleResident)
	} else {
		t.Logf("%d bytes are resident", n)
	}
}

func isReady(status string) bool {
	r, err := http.Get("http://" + status + "/status/ready")
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// freeAddress returns an address on which nobody listens.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// resident returns how much of a process is in memory, in bytes.
func resident(t *testing.T, pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
