// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"sync/atomic"
	"time"
)

// phase is where a load stands. The controller moves it on, clients read it,
// and tell how far they are.
type phase struct {
	atomic.Int32
	measured atomic.Int64
	failed   atomic.Bool
}

const (
	warming int32 = iota
	measuring
	ending
)

// counters are what one client, or all clients of one thread, saw.
type counters struct {
	phase *phase

	sent, answered, measured, late int64
	latencies                      []time.Duration
	samples                        []string
	failure                        string
	cipher                         string
}

func (c *counters) fail(err error) {
	c.phase.failed.Store(true)
	if c.failure == "" {
		c.failure = err.Error()
	}
}

// done counts one right answer.
func (c *counters) done(began, now time.Time) {
	c.answered++
	if c.phase.Load() == measuring {
		c.measured++
		c.phase.measured.Add(1)
		c.latencies = append(c.latencies, now.Sub(began))
	}
}

// wanted says whether the next answer's head is to be kept.
func (c *counters) wanted() bool {
	return c.answered%sampleEvery == 0 && len(c.samples) < sampleLimit
}

// add adds what another client saw.
func (c *counters) add(o *counters) {
	c.sent += o.sent
	c.answered += o.answered
	c.measured += o.measured
	c.late += o.late
	c.latencies = append(c.latencies, o.latencies...)
	if left := sampleLimit - len(c.samples); left > 0 {
		c.samples = append(c.samples, o.samples[:min(left, len(o.samples))]...)
	}
	if c.failure == "" {
		c.failure = o.failure
	}
	if c.cipher == "" {
		c.cipher = o.cipher
	}
}

// into puts the counts into a result.
func (c *counters) into(r *Result) {
	r.Sent, r.Answered, r.Measured, r.Late = c.sent, c.answered, c.measured, c.late
	r.Failure, r.Cipher, r.Answers = c.failure, c.cipher, c.samples
	slices.Sort(c.latencies)
	r.P50, r.P99, r.Max = quantile(c.latencies, 0.5), quantile(c.latencies, 0.99), quantile(c.latencies, 1)
}

// quantile returns the value that a share q of the sorted values does not
// exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
