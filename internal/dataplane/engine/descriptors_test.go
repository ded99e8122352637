// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// poorGateway tells the child of TestDescriptors what it is: how many
// descriptors it has, and its worker_connections.
const poorGateway = "TEST_POOR_GATEWAY"

// TestPoorGateway is the child of TestDescriptors: a gateway that runs until
// its standard input ends.
func TestPoorGateway(t *testing.T) {
	descriptors, connections, ok := strings.Cut(os.Getenv(poorGateway), " ")
	if !ok {
		return // This is not the child.
	}
	url := os.Getenv(poorGateway + "_UPSTREAM")
	limit, err := strconv.ParseUint(descriptors, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	r := startRig(t, service(url, ""), rigOptions{settings: func(s *engine.Settings) {
		s.WorkerConnections, _ = strconv.Atoi(connections)
	}})
	fmt.Println("gateway", r.plain)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startPoor runs a gateway with so few descriptors and returns its address.
func startPoor(t *testing.T, upstream string, descriptors, connections int) string {
	t.Helper()
	child := exec.CommandContext(context.Background(), os.Args[0], "-test.run", "^TestPoorGateway$") //nolint:gosec // this program
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", poorGateway, descriptors, connections), poorGateway+"_UPSTREAM="+upstream)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	t.Cleanup(func() {
		_ = stdin.Close()
		rest, _ := io.ReadAll(out)
		if err := child.Wait(); err != nil {
			t.Errorf("the gateway ended with %v:\n%s", err, rest)
		}
	})
	for {
		line, err := out.ReadString('\n')
		if address, ok := strings.CutPrefix(line, "gateway "); ok {
			return strings.TrimSpace(address)
		}
		if err != nil {
			t.Fatalf("the gateway did not start: %q, %v", line, err)
		}
	}
}

// A flood of connections that uses descriptors up stops neither those that are
// being served nor, once it is over, new ones.
func TestDescriptors(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	const descriptors = 120
	for _, c := range []struct {
		name        string
		connections int
	}{{"worker_connections auto", 0}, {"worker_connections beyond the descriptors", 10000}} {
		t.Run(c.name, func(t *testing.T) {
			address := startPoor(t, up.URL, descriptors, c.connections)
			good := dialRig(t, address)
			ask := func(what string) {
				t.Helper()
				// With too many connections allowed an upstream connection may find
				// no descriptor; the client's own connection stays.
				a, _ := good.send(plainGet).answer("GET")
				if a.StatusCode != 200 && (c.connections == 0 || a.StatusCode != 502) {
					t.Fatalf("the good client got %d %s", a.StatusCode, what)
				}
			}
			ask("before the flood")
			var flood []net.Conn
			for n := range 3 * descriptors {
				w, err := net.DialTimeout("tcp", address, patience)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(w, "GET / HTTP/1.1\r\n")
				flood = append(flood, w)
				if n%20 == 0 {
					ask("during the flood")
				}
			}
			ask("at its end")
			for _, w := range flood {
				_ = w.Close()
			}
			until(t, "service after the flood", func() bool {
				w, err := net.DialTimeout("tcp", address, patience)
				if err != nil {
					return false
				}
				defer func() { _ = w.Close() }()
				_ = w.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(w, plainGet)
				a, err := http.ReadResponse(bufio.NewReader(w), nil)
				return err == nil && a.StatusCode == 200
			})
			ask("after the flood")
		})
	}
}
