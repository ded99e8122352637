// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const tail = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	tests := []struct {
		line    string
		started uint64
		ok      bool
	}{
		{"1 (sh)" + tail, 4711, true},
		{"1 (a) b ) c)" + tail, 4711, true},
		{"1 (sh) S 1 2", 0, false},
		{"", 0, false},
		{")", 0, false},
	}
	for _, tt := range tests {
		state, started, err := parseStat(tt.line)
		if (err == nil) != tt.ok || started != tt.started || (tt.ok && state != 'S') {
			t.Errorf("%q: %c, %d, %v", tt.line, state, started, err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("1 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20")
	f.Add("1 (a) b ) c) Z")
	f.Fuzz(func(t *testing.T, line string) {
		if state, _, err := parseStat(line); err == nil && state == 0 {
			t.Errorf("%q: no state, no error", line)
		}
	})
}

func TestInnermostPID(t *testing.T) {
	for status, want := range map[string]int{
		"Name:\tsh\nNSpid:\t4711\t12\nUid:\t0\n": 12,
		"NSpid:\t7\n":                            7,
		"NSpid:\n":                               0,
		"NSpid:\tx\n":                            0,
		"Name:\tsh\n":                            0,
	} {
		if got := innermostPID(status); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}

func TestProcessIsNotMistaken(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	process, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(t.TempDir(), "record")
	if err := writeRecord(record, process); err != nil {
		t.Fatal(err)
	}
	read, ok, err := ReadRecord(record)
	if err != nil || !ok || read != process || !read.Alive() {
		t.Fatalf("record %+v, %t, %v; want %+v, alive", read, ok, err, process)
	}
	for name, other := range map[string]Process{
		"another process with the number": {PID: process.PID, Started: process.Started + 1, Boot: process.Boot},
		"another boot":                    {PID: process.PID, Started: process.Started, Boot: "x"},
		"no process":                      {},
	} {
		if other.Alive() {
			t.Errorf("%s counts as alive", name)
		}
		if other.PID == 0 {
			continue
		}
		if err := other.Kill(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !process.Alive() {
		t.Fatal("the process was ended although only others were to be")
	}
	if err := process.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
	if process.Alive() {
		t.Error("still alive after Kill")
	}
	if err := process.Kill(t.Context()); err != nil {
		t.Errorf("Kill again: %v", err)
	}
}

func TestNextPause(t *testing.T) {
	tests := []struct{ previous, ran, want time.Duration }{
		{0, 0, firstPause},
		{firstPause, time.Second, 2 * firstPause},
		{longestWait, time.Second, longestWait},
		{longestWait, steadyAfter, firstPause},
	}
	for _, tt := range tests {
		if got := nextPause(tt.previous, tt.ran); got != tt.want {
			t.Errorf("after %s, ran %s: %s, want %s", tt.previous, tt.ran, got, tt.want)
		}
	}
}

// eventually polls a condition for a bounded time.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// supervise runs a supervisor that reaps by component, as the test process must
// not collect the children of other tests.
func supervise(t *testing.T) *supervisor {
	t.Helper()
	s := newSupervisor(t.TempDir(), "/", nil, nil)
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.components {
			if c.timer != nil {
				c.timer.Stop()
				c.timer = nil
			}
			if c.process != nil {
				_ = c.process.Kill()
				_, _ = c.process.Wait()
				c.process = nil
			}
		}
	})
	return s
}

func status(s *supervisor, name string) Status {
	for _, c := range s.list() {
		if c.Name == name {
			return c
		}
	}
	return Status{}
}

func TestSupervisorRestartsAndReplaces(t *testing.T) {
	s := supervise(t)
	spec := Spec{Name: "a", Args: []string{"/bin/sleep", "60"}}
	if err := s.apply(spec); err != nil {
		t.Fatal(err)
	}
	first := status(s, "a").PID
	if err := s.apply(spec); err != nil || status(s, "a").PID != first {
		t.Fatalf("applying the same again: %v, pid %d, was %d", err, status(s, "a").PID, first)
	}

	spec.Revision = "2"
	if err := s.apply(spec); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the changed component runs anew", func() bool {
		s.reapOne()
		now := status(s, "a")
		return now.State == Running && now.PID != first
	})
	if restarts := status(s, "a").Restarts; restarts != 0 {
		t.Errorf("%d restarts after a wanted one", restarts)
	}

	second := status(s, "a").PID
	if err := syscall.Kill(second, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it waits after it ended by itself", func() bool {
		s.reapOne()
		return status(s, "a").State == Waiting
	})
	if last := status(s, "a"); last.Restarts != 1 || last.LastExit != "ended by signal killed" {
		t.Errorf("status %+v", last)
	}
	if err := s.apply(spec); err != nil {
		t.Fatal(err)
	}
	if now := status(s, "a"); now.State != Running || now.PID == second {
		t.Errorf("applying did not start it at once: %+v", now)
	}
}

func TestSupervisorReportsWhatCannotStart(t *testing.T) {
	s := supervise(t)
	if err := s.apply(Spec{Name: "a", Args: []string{"/does/not/exist"}}); err == nil {
		t.Error("no error")
	}
	if now := status(s, "a"); now.State != Waiting || now.LastExit == "" {
		t.Errorf("status %+v", now)
	}
	for _, spec := range []Spec{{}, {Name: "a"}, {Name: "a", Args: []string{"relative"}}} {
		if err := s.apply(spec); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
}

func TestCgroups(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"memory", "cpuset", "plain"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range map[string]string{"memory/cgroup.procs": "", "cpuset/cgroup.procs": "", "cpuset/cpuset.cpus": "0-1\n", "cpuset/cpuset.mems": "0\n"} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	roots, unified, err := hierarchies(root)
	if err != nil || unified || !slices.Equal(roots, []string{root + "/cpuset", root + "/memory"}) {
		t.Fatalf("hierarchies %v, %t, %v", roots, unified, err)
	}
	for range 2 {
		if err := prepareCgroups(root, "own"); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(root, "cpuset", "own", "cpuset.cpus"))
	if err != nil || string(data) != "0-1\n" {
		t.Errorf("cpuset of the new cgroup: %q, %v", data, err)
	}
	if err := os.MkdirAll(filepath.Join(root, "memory", "own", "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(t.Context(), filepath.Join(root, "memory", "own")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "memory", "own")); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	// What the kernel would not let go of is an error in the end, not a hang.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := removeTree(ctx, filepath.Join(root, "cpuset", "own")); err == nil {
		t.Error("a directory that holds files was reported as removed")
	}
}

func TestUnifiedCgroups(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte("cpu io memory rdma\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := prepareCgroups(root, "own"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, filepath.Join(root, "own")} {
		// A real file would add up what is written; this one keeps the last.
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		if err != nil || string(data) != "+memory" {
			t.Errorf("%s: %q, %v", dir, data, err)
		}
	}
}
