// SPDX-License-Identifier: Apache-2.0

// Package proc reads what processes and CPUs did from /proc.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc, 1/USER_HZ, which is fixed on Linux.
const tick = 10 * time.Millisecond

// Usage is what was used between two marks.
type Usage struct {
	// CPU is the user and system time of the processes.
	CPU time.Duration
	// PeakRSS is the sum of the processes' largest resident sets, in bytes.
	PeakRSS int64
	// ProxyCore and LoadCore are the busy shares of the two CPUs, 0 to 1,
	// whatever kept them busy.
	ProxyCore, LoadCore float64
}

// Mark is a moment from which usage counts.
type Mark struct {
	pids        []int
	proxy, load int
	cpu         time.Duration
	cores       [2]core
}

type core struct{ busy, all uint64 }

// Start begins to account pids and the two CPUs. It resets the processes' peak
// of resident memory.
func Start(pids []int, proxyCore, loadCore int) (*Mark, error) {
	m := &Mark{pids: pids, proxy: proxyCore, load: loadCore}
	for _, pid := range pids {
		// 5 is "reset the peak" (proc_pid_clear_refs(5)).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			return nil, fmt.Errorf("peak memory of process %d cannot be reset: %w", pid, err)
		}
	}
	var err error
	if m.cores, err = cores(proxyCore, loadCore); err != nil {
		return nil, err
	}
	m.cpu, err = cpuTime(pids)
	return m, err
}

// Stop returns what was used since Start.
func (m *Mark) Stop() (u Usage, err error) {
	cpu, err := cpuTime(m.pids)
	if err != nil {
		return u, err
	}
	now, err := cores(m.proxy, m.load)
	if err != nil {
		return u, err
	}
	u.CPU = cpu - m.cpu
	u.ProxyCore, u.LoadCore = share(m.cores[0], now[0]), share(m.cores[1], now[1])
	for _, pid := range m.pids {
		rss, err := peak(pid)
		if err != nil {
			return u, err
		}
		u.PeakRSS += rss
	}
	return u, nil
}

func share(from, to core) float64 {
	if to.all == from.all {
		return 0
	}
	return float64(to.busy-from.busy) / float64(to.all-from.all)
}

func cpuTime(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		t, err := processTime(pid)
		if err != nil {
			return 0, err
		}
		total += t
	}
	return total, nil
}

func processTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name may hold spaces and parentheses; what follows its last one does not.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err := strconv.ParseInt(string(fields[utime]), 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(string(fields[stime]), 10, 64)
	return time.Duration(user+system) * tick, err
}

// Exact returns the CPU time of processes as the scheduler counts it, in
// nanoseconds rather than ticks: user and system time of all threads that are
// alive.
func Exact(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return 0, err
		}
		if len(files) == 0 {
			return 0, fmt.Errorf("/proc/%d/task has no schedstat: the process ended, or the kernel lacks CONFIG_SCHED_INFO", pid)
		}
		for _, file := range files {
			data, err := os.ReadFile(file) // #nosec G304 -- of /proc
			if err != nil {
				continue // the thread has ended
			}
			t, err := parseSchedstat(string(data))
			if err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			total += t
		}
	}
	return total, nil
}

// parseSchedstat reads the first of time on a CPU, time in the run queue, both
// in nanoseconds, and the number of time slices.
func parseSchedstat(text string) (time.Duration, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return 0, fmt.Errorf("%d fields, want 3", len(fields))
	}
	ns, err := strconv.ParseInt(fields[0], 10, 64)
	return time.Duration(ns), err
}

func peak(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
}

func cores(numbers ...int) (out [2]core, err error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return out, err
	}
	for i, number := range numbers {
		if out[i], err = parseCore(string(data), number); err != nil {
			return out, err
		}
	}
	return out, nil
}

// parseCore reads a CPU's line: user, nice, system, idle, iowait, irq, softirq,
// steal, and guest times, which user and nice hold already.
func parseCore(stat string, number int) (c core, err error) {
	name := "cpu" + strconv.Itoa(number)
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != name {
			continue
		}
		for i, field := range fields[1:9] {
			v, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				return c, fmt.Errorf("/proc/stat: %w", err)
			}
			c.all += v
			if i != 3 && i != 4 {
				c.busy += v
			}
		}
		return c, nil
	}
	return c, fmt.Errorf("/proc/stat has no %s", name)
}

// Tree returns pid and all its descendants, sorted.
func Tree(pid int) ([]int, error) {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		if err != nil {
			return nil, err
		}
		for _, file := range children {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			for _, field := range strings.Fields(string(data)) {
				child, err := strconv.Atoi(field)
				if err != nil {
					return nil, err
				}
				pids = append(pids, child)
			}
		}
	}
	slices.Sort(pids)
	return pids, nil
}
