// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// InitCommand is the hidden subcommand that becomes the node's init.
const InitCommand = "__node"

// Options describe the node to launch.
type Options struct {
	// Executable is this program; the node runs it with InitCommand.
	Executable string
	// StateDir is the cluster's state directory.
	StateDir string
	// ID names the cluster's cgroup.
	ID string
	// Record is where the node's process is recorded.
	Record string
	// Log is the log file of the node itself.
	Log string
}

// Launch starts the node and waits until it answers. The record is complete
// before the new process does anything: if the caller is ended in between, the
// process sees the closed pipe and ends by itself.
func Launch(ctx context.Context, o Options) (*Client, error) {
	goRead, goWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer goWrite.Close()
	hostNet, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	defer hostNet.Close()
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	cmd := exec.Command(o.Executable, InitCommand, o.StateDir, o.ID)
	cmd.ExtraFiles = []*os.File{goRead, hostNet}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Setsid:     true,
	}
	if err := cmd.Start(); err != nil {
		_ = goRead.Close()
		return nil, fmt.Errorf("new namespaces: %w", err)
	}
	_ = goRead.Close()
	process, err := Identify(cmd.Process.Pid)
	if err == nil {
		err = writeRecord(o.Record, process)
	}
	if err == nil {
		_, err = goWrite.Write([]byte{1})
	}
	if err != nil {
		_ = goWrite.Close()
		return nil, errors.Join(err, cmd.Wait())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return waitForNode(ctx, process, ended)
}

func waitForNode(ctx context.Context, process Process, ended <-chan error) (*Client, error) {
	client := newClient(process)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if _, err := client.Components(ctx); err == nil {
			return client, nil
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("it ended while it was set up: %w", errors.Join(err, errEnded))
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
}

var errEnded = errors.New("the node's init is gone")

// Connect returns a client for the recorded node, or nil if none runs.
func Connect(record string) (*Client, error) {
	process, ok, err := ReadRecord(record)
	if err != nil || !ok || !process.Alive() {
		return nil, err
	}
	return newClient(process), nil
}

// root is the node's view of the file system, as seen from the host.
func (p Process) root() string {
	return filepath.Join("/proc", strconv.Itoa(p.PID), "root")
}
