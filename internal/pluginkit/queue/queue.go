// SPDX-License-Identifier: Apache-2.0

// Package queue sends entries in batches in the background, with Kong's rules
// (https://docs.konghq.com/gateway/latest/kong-plugins/queue/).
package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Config is Kong's queue block, completed. Times are in seconds.
type Config struct {
	MaxBatchSize       int     `json:"max_batch_size"`       // entries
	MaxCoalescingDelay float64 `json:"max_coalescing_delay"` // wait for a batch to fill
	MaxEntries         int     `json:"max_entries"`          // waiting entries
	MaxBytes           int     `json:"max_bytes"`            // of waiting entries, 0: unlimited
	MaxRetryTime       float64 `json:"max_retry_time"`       // from a batch's first attempt; -1: no retry
	InitialRetryDelay  float64 `json:"initial_retry_delay"`
	MaxRetryDelay      float64 `json:"max_retry_delay"`
	ConcurrencyLimit   int     `json:"concurrency_limit"` // 1, or -1: batches are sent side by side
}

// Send delivers a batch. An error makes the queue try again.
type Send func(ctx context.Context, batch [][]byte) error

// closeGrace bounds how long Close waits for the last batches. What is not
// sent by then goes on in the background until max_retry_time after Close.
const closeGrace = 2 * time.Second

// Queue holds entries until they are sent. Its methods are safe for concurrent
// use.
type Queue struct {
	config Config
	send   Send
	log    *slog.Logger

	mu      sync.Mutex
	entries [][]byte
	bytes   int
	dropped int // entries given up since the last report
	closing bool

	// life ends when a closed queue gives up.
	life context.Context //nolint:containedctx // the queue's own life
	end  context.CancelFunc

	wake chan struct{} // has a token when entries or closing changed
	done chan struct{} // closed when the queue is closed and empty
}

// New starts a queue. It runs until Close.
func New(c Config, log *slog.Logger, send Send) *Queue {
	q := &Queue{config: c, send: send, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	q.life, q.end = context.WithCancel(context.Background())
	go q.run()
	return q
}

// Add puts an entry in the queue and never waits. The queue keeps the slice.
// When the queue is full the oldest entries make room; an entry that is larger
// than all of the queue is given up.
func (q *Queue) Add(entry []byte) {
	q.mu.Lock()
	if limit := q.config.MaxBytes; limit > 0 && len(entry) > limit {
		q.dropped++
	} else {
		for len(q.entries) >= q.config.MaxEntries || limit > 0 && q.bytes+len(entry) > limit {
			q.bytes -= len(q.entries[0])
			q.entries[0] = nil
			q.entries = q.entries[1:]
			q.dropped++
		}
		q.entries = append(q.entries, entry)
		q.bytes += len(entry)
	}
	q.mu.Unlock()
	q.signal()
}

// Len returns the number of waiting entries.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}

// Done returns a channel that is closed when the queue was closed and has sent,
// or given up, what was left in it.
func (q *Queue) Done() <-chan struct{} { return q.done }

// Close sends what is left without waiting for batches to fill. It returns
// when everything was sent, or after a short grace. Nothing may be added after
// Close.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	q.signal()
	limit := time.AfterFunc(max(seconds(q.config.MaxRetryTime), closeGrace), q.end)
	go func() {
		<-q.done
		limit.Stop()
		q.end()
	}()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-q.done:
	case <-grace.C:
	}
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) run() {
	defer close(q.done)
	var sending sync.WaitGroup
	defer sending.Wait()
	// Batches on their way are bounded like those that wait.
	slots := make(chan struct{}, max(q.config.MaxEntries/q.config.MaxBatchSize, 1))
	for {
		if q.life.Err() != nil {
			q.giveUp()
			return
		}
		batch, dropped := q.next()
		if dropped > 0 {
			q.log.Error("queue is full: entries were dropped; raise queue.max_entries or queue.max_bytes, or look at the sink", "entries", dropped)
		}
		if batch == nil {
			return
		}
		if q.config.ConcurrencyLimit == -1 {
			slots <- struct{}{}
			sending.Go(func() {
				q.deliver(batch)
				<-slots
			})
		} else {
			q.deliver(batch)
		}
	}
}

// giveUp loses what is left of a closed queue.
func (q *Queue) giveUp() {
	q.mu.Lock()
	lost := len(q.entries) + q.dropped
	q.entries, q.bytes, q.dropped = nil, 0, 0
	q.mu.Unlock()
	if lost > 0 {
		q.log.Error("could not send entries after the plugin was removed: they are lost", "entries", lost, "max_retry_time", q.config.MaxRetryTime)
	}
}

// next waits for a batch: until it is full, or its first entry has waited for
// the coalescing delay. It returns nil when the queue is closed and empty.
func (q *Queue) next() (batch [][]byte, dropped int) {
	delay := time.NewTimer(seconds(q.config.MaxCoalescingDelay))
	defer delay.Stop()
	begun, due := false, false
	for {
		q.mu.Lock()
		n := len(q.entries)
		switch {
		case n > 0 && (n >= q.config.MaxBatchSize || due || q.closing):
			batch, dropped = q.takeLocked(min(n, q.config.MaxBatchSize)), q.dropped
			q.dropped = 0
			q.mu.Unlock()
			return batch, dropped
		case n == 0 && q.closing:
			dropped = q.dropped
			q.dropped = 0
			q.mu.Unlock()
			return nil, dropped
		}
		q.mu.Unlock()
		if n > 0 && !begun {
			begun = true
			delay.Reset(seconds(q.config.MaxCoalescingDelay))
		}
		select {
		case <-q.wake:
		case <-delay.C:
			due = begun
		}
	}
}

func (q *Queue) takeLocked(n int) [][]byte {
	batch := make([][]byte, n)
	copy(batch, q.entries)
	clear(q.entries[:n])
	q.entries = q.entries[n:]
	if len(q.entries) == 0 {
		q.entries = nil
	}
	for _, e := range batch {
		q.bytes -= len(e)
	}
	return batch
}

// deliver sends a batch, again and again with growing pauses, until it is taken
// or the time for retries is over.
func (q *Queue) deliver(batch [][]byte) {
	started := time.Now()
	pause := seconds(q.config.InitialRetryDelay)
	for {
		err := q.send(q.life, batch)
		if err == nil {
			return
		}
		left := seconds(q.config.MaxRetryTime) - time.Since(started)
		if left <= 0 || q.life.Err() != nil {
			q.log.Error("could not send entries in time: they are lost", "entries", len(batch), "max_retry_time", q.config.MaxRetryTime, "error", err)
			return
		}
		q.log.Warn("could not send entries: trying again", "entries", len(batch), "error", err)
		q.wait(min(pause, left))
		pause = min(2*pause, seconds(q.config.MaxRetryDelay))
	}
}

// wait waits for d, or until the queue gives up.
func (q *Queue) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.life.Done():
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
