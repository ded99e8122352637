// SPDX-License-Identifier: Apache-2.0

// Package h2spec runs the cases of github.com/summerwind/h2spec against a built proxy, over plaintext and over TLS.
package h2spec

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// exceptions are cases that fail, by way and id, each with the reason why it should.
var exceptions = map[string]string{
	"h2c http2/3.5/2": "a plaintext port speaks HTTP/1.1 as well, and what is no preface is answered by that: with a 400 and the end",
}

const declaration = `_format_version: "3.0"
services:
- name: backend
  url: %s
  routes:
  - {name: all, paths: [/]}
`

func TestConformance(t *testing.T) {
	// Some cases make windows smaller than the body.
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.Repeat("0123456789abcdef", 8))
	}))
	defer backend.Close()
	plain, secure, status := freePort(t), freePort(t), freePort(t)
	start(t, fmt.Sprintf(declaration, backend.URL), plain, secure, status)
	for _, way := range []struct {
		name string
		port int
		tls  bool
	}{{"h2c", plain, false}, {"tls", secure, true}} {
		t.Run(way.name, func(t *testing.T) {
			c := &config.Config{
				Host: "127.0.0.1", Port: way.port, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000,
				TLS: way.tls, Insecure: true, Strict: true,
			}
			total, failed := 0, map[string]bool{}
			for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
				group.Test(c)
				each(group, func(id string, r *spec.TestResult) {
					total++
					if r.Skipped {
						t.Errorf("%s was skipped", id)
					}
					if !r.Failed {
						return
					}
					failed[way.name+" "+id] = true
					if exceptions[way.name+" "+id] == "" {
						t.Errorf("%s %s: %v", id, r.TestCase.Desc, r.Error)
					}
				})
			}
			for id, reason := range exceptions {
				if strings.HasPrefix(id, way.name) && !failed[id] {
					t.Errorf("%s passes although %s: take it off the list", id, reason)
				}
			}
			if total < 140 {
				t.Errorf("only %d cases were run", total)
			}
			t.Logf("%d cases, %d exceptions", total, len(failed))
		})
	}
}

// each calls visit for every result of a group.
func each(g *spec.TestGroup, visit func(id string, r *spec.TestResult)) {
	for i, c := range append(append([]*spec.TestCase(nil), g.Tests...), g.StrictTests...) {
		if c.Result != nil {
			visit(g.ID()+"/"+strconv.Itoa(i+1), c.Result)
		}
	}
	for _, inner := range g.Groups {
		each(inner, visit)
	}
}

// start runs the proxy until the test ends.
func start(t *testing.T, declared string, plain, secure, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kong.yml")
	if err := os.WriteFile(file, []byte(declared), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := cmp.Or(os.Getenv("PROXY"), "../../../bin/proxy")
	cmd := exec.Command(proxy, "--declarative-config", file,
		"--proxy-listen", fmt.Sprintf("127.0.0.1:%d http2, 127.0.0.1:%d http2 ssl", plain, secure),
		"--status-listen", fmt.Sprintf("127.0.0.1:%d", status))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s cannot be started (make build makes it): %v", proxy, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil || strings.Contains(log.String(), "connection failed") {
			t.Errorf("the proxy ended with %v\n%s", err, log.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/status/ready", status), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the proxy is not ready\n%s", log.String())
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
