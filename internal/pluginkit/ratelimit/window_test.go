// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	at := time.Date(2024, time.February, 29, 23, 59, 58, 999, time.FixedZone("", -3600)) // 00:59:58 on March 1st, UTC
	for _, c := range []struct {
		period     Period
		start, end time.Time
		reset      int64
	}{
		{Second, time.Date(2024, 3, 1, 0, 59, 58, 0, time.UTC), time.Date(2024, 3, 1, 0, 59, 59, 0, time.UTC), 1},
		{Minute, time.Date(2024, 3, 1, 0, 59, 0, 0, time.UTC), time.Date(2024, 3, 1, 1, 0, 0, 0, time.UTC), 2},
		{Hour, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 3, 1, 1, 0, 0, 0, time.UTC), 2},
		{Day, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 3, 2, 0, 0, 0, 0, time.UTC), 86400 - 3598},
		{Month, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC), 2592000 - 3598},
		{Year, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), 31536000 - 60*86400 - 3598},
	} {
		if got := c.period.Start(at); got != c.start.Unix() {
			t.Errorf("%s starts %s, want %s", c.period, time.Unix(got, 0).UTC(), c.start)
		}
		if got := c.period.End(c.start.Unix()); got != c.end.Unix() {
			t.Errorf("%s ends %s, want %s", c.period, time.Unix(got, 0).UTC(), c.end)
		}
		if got := c.period.Reset(at); got != c.reset {
			t.Errorf("%s resets in %d s, want %d", c.period, got, c.reset)
		}
	}
}

func TestResetOnTheThirtyFirst(t *testing.T) {
	if got := Month.Reset(time.Date(2024, 1, 31, 5, 0, 0, 0, time.UTC)); got != 1 {
		t.Errorf("%d, want at least 1", got)
	}
}

func TestRedisKeyIsKongs(t *testing.T) {
	k := Key{Scope: "r:s", ID: "alice"}
	if got, want := k.redis(Minute, 60), "ratelimit:r:s:alice:60000:minute"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	k.Name = "video"
	if got, want := k.redis(Year, 0), "ratelimit:r:s:alice:0:video:year"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
