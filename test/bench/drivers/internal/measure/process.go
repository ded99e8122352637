// SPDX-License-Identifier: Apache-2.0

// Package measure starts the processes of a comparison on cores of their own
// and reads what they cost.
package measure

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a child that said where it listens.
type Process struct {
	cmd *exec.Cmd
	// Addresses are those that it printed.
	Addresses []netip.AddrPort
}

// Start runs this program with arguments on a core. The child prints the
// addresses that it listens on, in one line.
func Start(core int, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), "taskset", append([]string{"-c", strconv.Itoa(core), self}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%v did not start: %w", args, err)
	}
	p := &Process{cmd: cmd}
	for word := range strings.FieldsSeq(line) {
		address, err := netip.ParseAddrPort(word)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", args, err)
		}
		p.Addresses = append(p.Addresses, address)
	}
	return p, nil
}

// Stop ends the process.
func (p *Process) Stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Collect has the process give back the memory that it does not use.
func (p *Process) Collect() error { return p.cmd.Process.Signal(syscall.SIGUSR1) }

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// CPU returns the time that a process has spent on a core.
func CPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick, err
}

// Resident returns how much of a process is in memory, in bytes.
func Resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Pin keeps this process on a core.
func Pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return err
		}
	}
	return nil
}
