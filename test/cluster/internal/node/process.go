// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
)

// Process identifies a process beyond reuse of its number.
type Process struct {
	PID int `json:"pid"`
	// Started is the start time in clock ticks since boot, from /proc/<pid>/stat.
	Started uint64 `json:"started"`
	// Boot is the kernel's boot id: ticks mean nothing in another boot.
	Boot string `json:"boot"`
}

// Identify returns the identity of a running process.
func Identify(pid int) (Process, error) {
	_, started, err := stat(pid)
	if err != nil {
		return Process{}, err
	}
	boot, err := bootID()
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Started: started, Boot: boot}, nil
}

// Alive reports whether this very process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	boot, err := bootID()
	if err != nil || boot != p.Boot {
		return false
	}
	state, started, err := stat(p.PID)
	return err == nil && started == p.Started && state != 'Z' && state != 'X'
}

// Kill ends the process and waits until it is gone. The check and the signal go
// through a pidfd, so that a reused number is never hit.
func (p Process) Kill(ctx context.Context) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.Alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end process %d: %w", p.PID, err)
	}
	for p.Alive() {
		// A pidfd becomes readable when its process has ended.
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 200); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("process %d does not end: %w", p.PID, ctx.Err())
		}
	}
	return nil
}

// stat parses /proc/<pid>/stat. The program's name may hold spaces and
// parentheses, so fields count from the last one.
func stat(pid int) (state byte, started uint64, err error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(string(data))
}

func parseStat(line string) (state byte, started uint64, err error) {
	_, rest, found := strings.Cut(line[max(strings.LastIndex(line, ")"), 0):], ") ")
	fields := strings.Fields(rest)
	// Field 3 (state) is the first after the name, field 22 the start time.
	if !found || len(fields) < 20 {
		return 0, 0, errors.New("malformed /proc/<pid>/stat")
	}
	started, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0][0], started, err
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// ReadRecord returns the recorded process; ok is false if none was recorded.
func ReadRecord(path string) (p Process, ok bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Process{}, false, nil
	}
	if err != nil {
		return Process{}, false, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return Process{}, false, fmt.Errorf("%s: %w", path, err)
	}
	return p, true, nil
}

func writeRecord(path string, p Process) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return pki.WriteFile(path, data, 0o644)
}

// pollInterval is how often a condition without a notification is looked at.
const pollInterval = 50 * time.Millisecond
