// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"strings"
	"testing"
	"time"
)

func TestTaken(t *testing.T) {
	for _, c := range []struct {
		name   string
		rate   float64
		report Report
		want   string // in the error, "" for none
	}{
		{"all", 10, Report{Changes: 12, Elapsed: 1210 * time.Millisecond}, ""},
		{"a few late", 10, Report{Changes: 10, Elapsed: 2 * time.Second}, ""},
		{"behind", 10, Report{Changes: 9, Elapsed: 2 * time.Second}, "9 changes within 2s, 20 were due"},
		{"as fast as it goes", 0, Report{Changes: 1, Elapsed: time.Second}, ""},
		{"none", 0, Report{Elapsed: time.Second}, "no change"},
		{"none was due", 10, Report{Elapsed: time.Millisecond}, "no change"},
		{"failed", 10, Report{Changes: 12, Elapsed: time.Second, Failure: "not acknowledged"}, "not acknowledged"},
	} {
		err := c.report.Taken(c.rate)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
