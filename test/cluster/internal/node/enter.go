// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// clientNetFD is where the node's init keeps the client's network namespace
// open, so that others can join it through /proc.
const clientNetFD = 100

// RunInNode joins the namespaces of the node whose init has the given process
// number, runs argv there and returns its exit status.
func RunInNode(pid string, argv []string) (int, error) {
	// The thread is never given back: it stays in the node's namespaces.
	runtime.LockOSThread()
	if len(argv) == 0 {
		return 0, errors.New("name a command to run in the node")
	}
	var fds []int
	for _, ns := range []string{"pid", "net", "mnt"} {
		fd, err := unix.Open("/proc/"+pid+"/ns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("node %s: %s namespace: %w", pid, ns, err)
		}
		fds = append(fds, fd)
	}
	// A thread that shares its working directory with others may not change
	// its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return 0, fmt.Errorf("unshare: %w", err)
	}
	for _, fd := range fds {
		if err := unix.Setns(fd, 0); err != nil {
			return 0, fmt.Errorf("join the node: %w", err)
		}
	}
	return run(argv)
}

func run(argv []string) (int, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	// Interrupts from the terminal reach the child directly.
	signal.Ignore(syscall.SIGINT)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// ExecInClient joins the client's network namespace and becomes argv. It
// returns only if that fails.
func ExecInClient(pid string, argv []string) error {
	runtime.LockOSThread()
	if len(argv) == 0 {
		return errors.New("name a command to run in the client namespace")
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	fd, err := unix.Open("/proc/"+pid+"/fd/"+strconv.Itoa(clientNetFD), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("node %s: client namespace: %w", pid, err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("join the client namespace: %w", err)
	}
	return syscall.Exec(path, argv, os.Environ())
}
