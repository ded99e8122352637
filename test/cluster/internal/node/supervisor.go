// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A component that ends by itself is started again after a pause, which doubles
// while it keeps ending and is forgotten once it has run for steadyAfter.
const (
	firstPause  = time.Second
	longestWait = 15 * time.Second
	steadyAfter = time.Minute
	// stopGrace is how long a component may take to end when it is told to.
	stopGrace = 10 * time.Second
)

// nextPause decides how long to wait before starting a component again.
func nextPause(previous, ran time.Duration) time.Duration {
	if previous == 0 || ran >= steadyAfter {
		return firstPause
	}
	return min(2*previous, longestWait)
}

// component is the live side of a Spec. All fields belong to supervisor.mu.
type component struct {
	spec    Spec
	status  Status
	process *os.Process
	pause   time.Duration
	// timer starts it again; nil unless Waiting.
	timer *time.Timer
	// successor replaces it once it has stopped.
	successor *Spec
}

// supervisor keeps components running. As the init of its pid namespace it also
// reaps what others leave behind, therefore it alone waits for processes.
type supervisor struct {
	logDir, dir        string
	hostNet, clientNet *os.File

	mu         sync.Mutex
	order      []string
	components map[string]*component
	byPID      map[int]*component
}

func newSupervisor(logDir, dir string, hostNet, clientNet *os.File) *supervisor {
	return &supervisor{
		logDir: logDir, dir: dir, hostNet: hostNet, clientNet: clientNet,
		components: map[string]*component{}, byPID: map[int]*component{},
	}
}

func (s *supervisor) list() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Status, 0, len(s.order))
	for _, name := range s.order {
		out = append(out, s.components[name].status)
	}
	return out
}

// apply makes a component run as the spec says. It does not wait for it to be
// ready, nor for an older one to end.
func (s *supervisor) apply(spec Spec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.components[spec.Name]
	if !known {
		c = &component{status: Status{Name: spec.Name}}
		s.components[spec.Name] = c
		s.order = append(s.order, spec.Name)
	}
	changed := c.spec.hash() != spec.hash()
	switch {
	case c.process != nil && !changed:
		return nil
	case c.process != nil:
		c.successor = &spec
		s.stop(c)
		return nil
	}
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.spec, c.pause = spec, 0
	return s.start(c)
}

// start runs the component; the caller holds s.mu.
func (s *supervisor) start(c *component) error {
	process, err := s.spawn(c.spec)
	if err != nil {
		s.wait(c, err.Error(), 0)
		return fmt.Errorf("start %s: %w", c.spec.Name, err)
	}
	log.Printf("%s: started, pid %d", c.spec.Name, process.Pid)
	c.process = process
	s.byPID[process.Pid] = c
	c.status = Status{Name: c.spec.Name, State: Running, PID: process.Pid, Restarts: c.status.Restarts, Since: time.Now(), LastExit: c.status.LastExit}
	return nil
}

// spawn starts the process. Nobody but reap may wait for it.
func (s *supervisor) spawn(spec Spec) (*os.Process, error) {
	out, err := os.OpenFile(filepath.Join(s.logDir, spec.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	files := []*os.File{null, out, out}
	if spec.Outside {
		files = append(files, s.hostNet, s.clientNet)
	}
	env := append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/run/kig", "TMPDIR=/run/kig",
	}, spec.Env...)
	return os.StartProcess(spec.Args[0], spec.Args, &os.ProcAttr{
		Dir: s.dir, Env: env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
}

// stop tells a component to end, and insists after a while; the caller holds s.mu.
func (s *supervisor) stop(c *component) {
	c.status.State, c.status.Since = Stopping, time.Now()
	process := c.process
	_ = process.Signal(syscall.SIGTERM)
	time.AfterFunc(stopGrace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.process == process {
			_ = process.Kill()
		}
	})
}

// wait plans the next start; the caller holds s.mu.
func (s *supervisor) wait(c *component, exit string, ran time.Duration) {
	c.pause = nextPause(c.pause, ran)
	log.Printf("%s: %s; next start in %s", c.spec.Name, exit, c.pause)
	c.status = Status{Name: c.spec.Name, State: Waiting, Restarts: c.status.Restarts + 1, Since: time.Now(), LastExit: exit}
	c.timer = time.AfterFunc(c.pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.timer == nil || c.process != nil {
			return
		}
		c.timer = nil
		// A failure has been logged and planned again by start itself.
		_ = s.start(c)
	})
}

// reap waits for every child, for ever.
func (s *supervisor) reap() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		for s.reapOne() {
		}
	}
}

// reapOne collects one ended child. The lock is held across the system call, so
// that a child cannot be collected before start has noted its number.
func (s *supervisor) reapOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.EINTR) {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if c := s.byPID[pid]; c != nil {
		delete(s.byPID, pid)
		s.ended(c, status)
	}
	return true
}

// ended notes the end of a component and goes on from there; the caller holds s.mu.
func (s *supervisor) ended(c *component, status syscall.WaitStatus) {
	ran := time.Since(c.status.Since)
	_ = c.process.Release()
	c.process = nil
	if c.successor != nil {
		c.spec, c.pause = *c.successor, 0
		c.successor = nil
		_ = s.start(c)
		return
	}
	s.wait(c, describe(status), ran)
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "ended by signal " + status.Signal().String()
	}
	return fmt.Sprintf("ended with exit status %d", status.ExitStatus())
}
