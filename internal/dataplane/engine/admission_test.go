// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"runtime"
	"testing"
	"time"
)

func TestConnectionLimit(t *testing.T) {
	for _, c := range []struct {
		setting     int
		descriptors uint64
		want        int
	}{
		{100, 10, 100},
		{0, 1, 1},
		{0, 120, 30},
		{0, 1024, 384},
		{0, 1 << 20, min(524160, connectionsPerCore*runtime.GOMAXPROCS(0))},
		{0, 1<<64 - 1, connectionsPerCore * runtime.GOMAXPROCS(0)},
	} {
		if got := connectionLimit(c.setting, c.descriptors); got != c.want {
			t.Errorf("connectionLimit(%d, %d) = %d, want %d", c.setting, c.descriptors, got, c.want)
		}
	}
}

func TestClaims(t *testing.T) {
	newcomer, regular := claim{waited: time.Millisecond}, claim{proven: true, waited: time.Minute}
	older := claim{waited: time.Second}
	for _, c := range []struct {
		a, b claim
		want bool
	}{{newcomer, regular, true}, {regular, newcomer, false}, {older, newcomer, true}, {newcomer, older, false}} {
		if got := c.a.less(c.b); got != c.want {
			t.Errorf("%v gives way before %v: %t", c.a, c.b, got)
		}
	}
}

// A connection that only lingers may always be ended for another one; for the
// first moment it has the claim of one whose client may come back.
func TestLingeringClaims(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		conn *conn
		want claim
		may  bool
	}{
		{&conn{proven: true}, claim{true, time.Minute}, false},
		{&conn{proven: true, lingering: true}, claim{false, time.Minute}, true},
		{&conn{lingering: true}, claim{false, lingerPatience}, true},
		{&conn{lingering: true}, claim{true, lingerPatience - 1}, true},
		{&conn{lingering: true, leaving: true}, claim{false, time.Minute}, false},
	} {
		c.conn.since = now.Add(-c.want.waited)
		if its, may := c.conn.claim(now); its != c.want || may != c.may {
			t.Errorf("lingering %t, for %v: got %v, %t", c.conn.lingering, c.want.waited, its, may)
		}
	}
	if leaving := (&conn{lingering: true, leaving: true}); leaving.armLingering(now) {
		t.Error("the next read undoes that a connection gives way")
	}
}
