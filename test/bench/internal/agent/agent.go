// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/test/bench/internal/proc"
)

// settle bounds the wait for the last answers.
const settle = 10 * time.Second

// agent owns the loop. Its fields below before are used in the loop's thread.
type agent struct {
	loop    *loop
	backend *backend

	mu    sync.Mutex
	calls []func()

	before func() time.Duration
}

// Main runs an agent: it writes the address of its backend as a line of JSON,
// then for each Load that it reads a Result, until the input ends.
func Main(in io.Reader, out io.Writer) error {
	l, err := newLoop()
	if err != nil {
		return err
	}
	b, err := newBackend(l)
	if err != nil {
		return err
	}
	a := &agent{loop: l, backend: b, before: func() time.Duration { return -1 }}
	l.onWake = a.callAll
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		exactTimers()
		ended <- l.run(func() time.Duration { return a.before() })
	}()
	err = a.commands(in, json.NewEncoder(out))
	a.do(func() { l.stopped = true })
	return errors.Join(err, <-ended)
}

func (a *agent) commands(in io.Reader, out *json.Encoder) error {
	if err := out.Encode(a.backend.Address); err != nil {
		return err
	}
	decoder := json.NewDecoder(bufio.NewReader(in))
	for {
		var load Load
		if err := decoder.Decode(&load); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(a.run(&load)); err != nil {
			return err
		}
		// Between measurements, so that it falls into none.
		runtime.GC()
	}
}

// do runs f in the loop and waits for it.
func (a *agent) do(f func()) {
	done := make(chan struct{})
	a.mu.Lock()
	a.calls = append(a.calls, func() { f(); close(done) })
	a.mu.Unlock()
	a.loop.wake()
	<-done
}

func (a *agent) callAll() {
	a.mu.Lock()
	calls := a.calls
	a.calls = nil
	a.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

// running is a load under way.
type running interface {
	// wait ends when all answers are there, or gives up.
	wait() (*counters, error)
}

func (a *agent) run(load *Load) *Result {
	r := &Result{}
	a.do(func() { a.backend.reset(load.Answer) })
	p := &phase{}
	clients, err := a.start(load, p)
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	measured := a.measure(load, p, r)
	c, err := clients.wait()
	if c != nil {
		c.into(r)
	}
	a.do(func() {
		r.Arrived, r.ArrivedBytes, r.Requests = a.backend.arrived, a.backend.bytes, a.backend.samples
		// What the client saw then is a consequence.
		if a.backend.failure != "" {
			r.Failure = a.backend.failure
		}
	})
	if err := errors.Join(measured, err); err != nil && r.Failure == "" {
		r.Failure = err.Error()
	}
	return r
}

// measure moves the load through its phases and accounts for its window.
func (a *agent) measure(load *Load, p *phase, r *Result) error {
	defer p.Store(ending)
	defer a.loop.wake()
	<-time.After(load.Warmup)
	mark, err := proc.Start(load.Processes, load.ProxyCore, load.LoadCore)
	if err != nil {
		return err
	}
	began := time.Now()
	p.Store(measuring)
	<-time.After(load.Window)
	for p.measured.Load() < load.AtLeast && !p.failed.Load() && time.Since(began) < settle {
		<-time.After(load.Window / 10)
	}
	p.Store(ending)
	r.Wall = time.Since(began)
	r.Usage, err = mark.Stop()
	return err
}

func (a *agent) start(load *Load, p *phase) (running, error) {
	if len(load.Requests) == 0 || load.Connections < 1 {
		return nil, errors.New("a load needs requests and connections")
	}
	if load.Protocol != HTTP1 {
		return startStreams(load, p), nil
	}
	var c *http1Client
	var err error
	a.do(func() {
		if c, err = startHTTP1(a.loop, load, p); err == nil {
			a.before = c.before
		}
	})
	if err != nil {
		return nil, err
	}
	return &loopLoad{a, c}, nil
}

// loopLoad is a load whose clients live in the loop.
type loopLoad struct {
	agent  *agent
	client *http1Client
}

func (l *loopLoad) wait() (*counters, error) {
	l.agent.loop.wake()
	var err error
	select {
	case <-l.client.finished:
	case <-time.After(settle):
		err = fmt.Errorf("answers are missing after %v", settle)
	}
	l.agent.do(func() {
		l.agent.before = func() time.Duration { return -1 }
		l.client.over = true
		l.client.closeAll()
	})
	return &l.client.counters, err
}
