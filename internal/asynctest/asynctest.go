// SPDX-License-Identifier: Apache-2.0

// Package asynctest is for tests of what happens meanwhile: it waits for a
// condition, and keeps a log that is read while it is written.
package asynctest

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// Patience bounds every wait; a test that needs it all has failed.
const Patience = 20 * time.Second

// tick is the time between two looks at a condition.
const tick = time.Millisecond

// Until waits for a condition and fails the test when it does not come; what says
// which. Only the goroutine of the test may call it.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !Comes(done) {
		t.Fatalf("waited in vain: %s", what)
	}
}

// Comes waits for a condition and reports whether it came before Patience ended.
func Comes(done func() bool) bool {
	looks := time.NewTicker(tick)
	defer looks.Stop()
	for end := time.Now().Add(Patience); !done(); <-looks.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Log keeps what is written to it. The zero Log is empty; it is safe for
// concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns everything that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
