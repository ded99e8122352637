// SPDX-License-Identifier: Apache-2.0

// Package progress tells a person what a long command is doing: which step,
// for how long, and what is left.
package progress

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Interval is how often a running step says that it is still running.
const Interval = 10 * time.Second

// Reporter writes the progress of one command. It is safe for concurrent use;
// steps themselves run one after another.
type Reporter struct {
	out      io.Writer
	steps    []string
	interval time.Duration
	now      func() time.Time

	mu   sync.Mutex
	next int
	note string
}

// New returns a reporter for the given steps, in order. Their names are what
// the user reads.
func New(out io.Writer, steps ...string) *Reporter {
	return &Reporter{out: out, steps: steps, interval: Interval, now: time.Now}
}

// Note replaces the detail shown with the running step.
func (r *Reporter) Note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note = fmt.Sprintf(format, args...)
}

// Say writes a line that stays, for something the user must know.
func (r *Reporter) Say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "        %s\n", fmt.Sprintf(format, args...))
}

// Run performs the next step. It writes one line when the step ends, and one
// every Interval while it goes on. The error is the step's own.
func (r *Reporter) Run(ctx context.Context, step func(context.Context) error) error {
	r.mu.Lock()
	index := r.next
	r.next++
	r.note = ""
	r.mu.Unlock()
	began := r.now()
	stop := r.tick(index, began)
	err := step(ctx)
	stop()
	r.finish(index, r.now().Sub(began), err)
	return err
}

func (r *Reporter) tick(index int, began time.Time) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(r.interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				r.running(index, r.now().Sub(began))
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

func (r *Reporter) running(index int, elapsed time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("[%d/%d] %s: %s so far", index+1, len(r.steps), r.steps[index], Round(elapsed))
	if r.note != "" {
		line += "; " + r.note
	}
	if left := r.steps[index+1:]; len(left) > 0 {
		line += "; left: " + strings.Join(left, ", ")
	}
	fmt.Fprintln(r.out, line)
}

func (r *Reporter) finish(index int, elapsed time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	verdict := "done"
	if err != nil {
		verdict = "FAILED"
	}
	line := fmt.Sprintf("[%d/%d] %s: %s, %s", index+1, len(r.steps), r.steps[index], verdict, Round(elapsed))
	if err == nil && r.note != "" {
		line += " (" + r.note + ")"
	}
	fmt.Fprintln(r.out, line)
}

// Round makes a duration readable: tenths of a second below a minute, seconds above.
func Round(d time.Duration) time.Duration {
	if d < time.Minute {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
