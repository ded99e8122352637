// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

// sink notes what was sent when, in a synctest bubble's time.
type sink struct {
	mu    sync.Mutex
	begun time.Time
	sent  []string
	fail  func(attempt int) error
	tries int
	takes time.Duration
}

func newSink() *sink { return &sink{begun: time.Now()} }

func (s *sink) send(_ context.Context, batch [][]byte) error {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	parts := make([]string, len(batch))
	for i, b := range batch {
		parts[i] = string(b)
	}
	if s.fail != nil {
		if err := s.fail(s.tries); err != nil {
			return err
		}
	}
	s.sent = append(s.sent, fmt.Sprintf("%s@%s", strings.Join(parts, ","), time.Since(s.begun)))
	return nil
}

func (s *sink) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.sent, want) {
		t.Errorf("sent %q, want %q", s.sent, want)
	}
}

var defaults = Config{MaxBatchSize: 1, MaxCoalescingDelay: 1, MaxEntries: 10000, MaxRetryTime: 60, InitialRetryDelay: 0.01, MaxRetryDelay: 60, ConcurrencyLimit: 1}

func logger() (*plugintest.Host, *slog.Logger) {
	h := &plugintest.Host{}
	return h, h.Logger("test")
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.MaxBatchSize = 3
		s := newSink()
		_, log := logger()
		q := New(c, log, s.send)
		for _, e := range []string{"a", "b", "c", "d"} {
			q.Add([]byte(e))
		}
		s.want(t, "a,b,c@0s")
		time.Sleep(500 * time.Millisecond)
		q.Add([]byte("e"))
		time.Sleep(time.Second)
		s.want(t, "a,b,c@0s", "d,e@1s")
		time.Sleep(time.Hour)
		q.Add([]byte("f"))
		q.Close()
		s.want(t, "a,b,c@0s", "d,e@1s", "f@1h0m1.5s")
	})
}

func TestOneByOneInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		s.takes = time.Second
		_, log := logger()
		q := New(defaults, log, s.send)
		for _, e := range []string{"a", "b", "c"} {
			q.Add([]byte(e))
		}
		time.Sleep(5 * time.Second)
		s.want(t, "a@1s", "b@2s", "c@3s")
		q.Close()
	})
}

func TestWithoutConcurrencyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.ConcurrencyLimit = -1
		s := newSink()
		s.takes = time.Second
		_, log := logger()
		q := New(c, log, s.send)
		q.Add([]byte("a"))
		q.Add([]byte("a"))
		time.Sleep(1500 * time.Millisecond)
		s.want(t, "a@1s", "a@1s")
		q.Close()
	})
}

func TestWithoutConcurrencyLimitIsStillBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.ConcurrencyLimit, c.MaxEntries = -1, 2
		s := newSink()
		s.takes = time.Minute
		host, log := logger()
		q := New(c, log, s.send)
		for range 100 {
			q.Add([]byte("a"))
			synctest.Wait()
		}
		q.Add([]byte("b"))
		time.Sleep(time.Hour)
		q.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		// Two are on their way, one waits for a slot, two are in the queue.
		if len(s.sent) != 5 || !strings.Contains(host.Logged(), "entries were dropped") {
			t.Errorf("sent %q, log %s", s.sent, host.Logged())
		}
	})
}

func TestAFullQueueDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.MaxBatchSize, c.MaxEntries, c.MaxBytes = 100, 3, 10
		s := newSink()
		host, log := logger()
		q := New(c, log, s.send)
		for _, e := range []string{"a", "b", "c", "d"} {
			q.Add([]byte(e))
		}
		time.Sleep(time.Second)
		s.want(t, "b,c,d@1s")
		for _, e := range []string{"12345", "6789", "abcdefgh", "longer than all"} {
			q.Add([]byte(e))
		}
		q.Close()
		s.want(t, "b,c,d@1s", "abcdefgh@1s")
		if log := host.Logged(); !strings.Contains(log, "entries=1") || !strings.Contains(log, "entries=3") {
			t.Errorf("log: %s", log)
		}
	})
}

func TestRetriesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.InitialRetryDelay, c.MaxRetryDelay = 1, 3
		s := newSink()
		s.fail = func(attempt int) error {
			if attempt <= 4 {
				return errors.New("down")
			}
			return nil
		}
		_, log := logger()
		q := New(c, log, s.send)
		q.Add([]byte("a"))
		time.Sleep(time.Minute)
		s.want(t, "a@9s") // 1 + 2 + 3 + 3
		q.Close()
	})
}

func TestRetriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.MaxRetryTime = 5
		c.InitialRetryDelay = 1
		s := newSink()
		s.fail = func(int) error {
			if time.Since(s.begun) < time.Minute {
				return errors.New("down")
			}
			return nil
		}
		host, log := logger()
		q := New(c, log, s.send)
		q.Add([]byte("lost"))
		time.Sleep(time.Minute)
		q.Add([]byte("kept"))
		s.want(t, "kept@1m0s")
		if s.tries != 5 { // at 0, 1, 3, 5 seconds, and the second entry's
			t.Errorf("%d attempts", s.tries)
		}
		if !strings.Contains(host.Logged(), "they are lost") {
			t.Errorf("log: %s", host.Logged())
		}
		q.Close()
	})
}

func TestNoRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.MaxRetryTime = -1
		s := newSink()
		s.fail = func(int) error { return errors.New("down") }
		_, log := logger()
		q := New(c, log, s.send)
		q.Add([]byte("a"))
		q.Close()
		if s.tries != 1 {
			t.Errorf("%d attempts, want one", s.tries)
		}
	})
}

func TestCloseDoesNotWaitForADeadSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		s.fail = func(int) error {
			if time.Since(s.begun) < 10*time.Second {
				return errors.New("down")
			}
			return nil
		}
		_, log := logger()
		q := New(defaults, log, s.send)
		q.Add([]byte("a"))
		q.Close()
		if waited := time.Since(s.begun); waited != closeGrace {
			t.Errorf("Close took %s", waited)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.sent) != 1 {
			t.Errorf("sent %q after Close, want the entry", s.sent)
		}
	})
}

func TestSharedQueueOutlivesOneOfItsInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.MaxBatchSize = 10
		host, log := logger()
		s := newSink()
		open := func() *Shared {
			return Open(host, "test", "config", func() *Queue { return New(c, log, s.send) })
		}
		old := open()
		old.Add([]byte("a"))
		reloaded := open()
		old.Close()
		reloaded.Add([]byte("b"))
		s.want(t)
		time.Sleep(time.Second)
		s.want(t, "a,b@1s")
		reloaded.Add([]byte("c"))
		reloaded.Close()
		s.want(t, "a,b@1s", "c@1s")
		again := open()
		again.Add([]byte("d"))
		again.Close()
		s.want(t, "a,b@1s", "c@1s", "d@1s")
	})
}

// A closed queue whose sink is dead ends when the time for retries is over, not
// later for each entry that is left.
func TestClosedQueueGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults
		c.MaxRetryTime, c.InitialRetryDelay = 10, 7
		s := newSink()
		s.fail = func(int) error { return errors.New("dead") }
		host, log := logger()
		q := New(c, log, s.send)
		for range 5 {
			q.Add([]byte("a"))
		}
		time.Sleep(time.Second)
		q.Close()
		closed := time.Since(s.begun)
		<-q.done
		if ended := time.Since(s.begun); closed != 3*time.Second || ended != 11*time.Second {
			t.Errorf("closed after %s, ended after %s", closed, ended)
		}
		if q.Len() != 0 || !strings.Contains(host.Logged(), "entries=3") {
			t.Errorf("%d entries are left; log:\n%s", q.Len(), host.Logged())
		}
	})
}
