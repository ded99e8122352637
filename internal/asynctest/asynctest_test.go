// SPDX-License-Identifier: Apache-2.0

package asynctest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		after := func(d time.Duration) func() bool { return func() bool { return time.Since(started) >= d } }
		if !Comes(after(0)) || time.Since(started) != 0 {
			t.Error("what is so already is waited for")
		}
		Until(t, "a second", after(time.Second))
		if took := time.Since(started); took > time.Second+tick {
			t.Errorf("a second took %s", took)
		}
		if Comes(func() bool { return false }) {
			t.Error("what never is came")
		}
		if took := time.Since(started); took < Patience || took > Patience+2*time.Second {
			t.Errorf("given up after %s", took)
		}
	})
}

func TestLog(t *testing.T) {
	var log Log
	var writers sync.WaitGroup
	for range 10 {
		writers.Go(func() {
			_, _ = fmt.Fprintln(&log, "line")
			_ = log.String()
		})
	}
	writers.Wait()
	if got := log.String(); got != strings.Repeat("line\n", 10) {
		t.Errorf("got %q", got)
	}
}
