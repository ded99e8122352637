// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// controlSocket is where the node listens, in its own view of the file system.
const controlSocket = "/run/kig/control.sock"

// ContainerdSocket is containerd's socket in the node's view.
const ContainerdSocket = "/run/containerd/containerd.sock"

// Client talks to a running node. It is safe for concurrent use.
type Client struct {
	process Process
	http    *http.Client
}

func newClient(process Process) *Client {
	socket := filepath.Join(process.root(), controlSocket)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	return &Client{process: process, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// Process is the node's init, with its number on the host.
func (c *Client) Process() Process { return c.process }

// HostPath turns a path in the node's view into one that works on the host, as
// long as the node runs.
func (c *Client) HostPath(path string) string { return filepath.Join(c.process.root(), path) }

// Components lists the components and how they are.
func (c *Client) Components(ctx context.Context) ([]Status, error) {
	var out []Status
	return out, c.call(ctx, http.MethodGet, "/components", nil, &out)
}

// Apply starts a component, or restarts it if its spec has changed. A component
// that waits to be started again is started at once.
func (c *Client) Apply(ctx context.Context, spec Spec) error {
	return c.call(ctx, http.MethodPut, "/components", spec, nil)
}

// AddClientAddress gives the client namespace one more address and routes it back.
func (c *Client) AddClientAddress(ctx context.Context, address netip.Addr) error {
	return c.call(ctx, http.MethodPut, "/client/addresses", address, nil)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("node: %s", strings.TrimSpace(string(data)))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// EnterCommand and ClientCommand are the hidden subcommands that join
// namespaces of a node and run a program there.
const (
	EnterCommand  = "__enter"
	ClientCommand = "__client"
)

// Command returns a command that runs inside the node's namespaces.
func (c *Client) Command(ctx context.Context, executable string, argv ...string) *exec.Cmd {
	return c.joined(ctx, executable, EnterCommand, argv)
}

// ClientCommand returns a command that runs on the host, but in the client's
// network namespace.
func (c *Client) ClientCommand(ctx context.Context, executable string, argv ...string) *exec.Cmd {
	return c.joined(ctx, executable, ClientCommand, argv)
}

func (c *Client) joined(ctx context.Context, executable, how string, argv []string) *exec.Cmd {
	args := append([]string{how, strconv.Itoa(c.process.PID)}, argv...)
	cmd := exec.CommandContext(ctx, executable, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
