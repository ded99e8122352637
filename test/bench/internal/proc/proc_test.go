// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"os"
	"testing"
	"time"
)

func TestUsageOfThisProcess(t *testing.T) {
	mark, err := Start([]int{os.Getpid()}, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	var u Usage
	for deadline := time.Now().Add(10 * time.Second); u.CPU < 5*tick && time.Now().Before(deadline); {
		if u, err = mark.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if u.CPU < 5*tick || u.PeakRSS < 1<<20 {
		t.Errorf("busy for a while: %+v", u)
	}
}

func TestParseCore(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 0 1 90 8 0 0 0 0 0\n"
	for number, want := range []core{{busy: 27, all: 36}, {busy: 2, all: 100}} {
		if got, err := parseCore(stat, number); err != nil || got != want {
			t.Errorf("cpu%d: %+v, %v", number, got, err)
		}
	}
	if _, err := parseCore(stat, 2); err == nil {
		t.Error("a CPU that there is not")
	}
}

func TestTreeHoldsChildren(t *testing.T) {
	pids, err := Tree(os.Getpid())
	if err != nil || len(pids) == 0 {
		t.Errorf("%v, %v", pids, err)
	}
	if _, err := Start([]int{1 << 30}, 0, 1); err == nil {
		t.Error("a process that there is not")
	}
}

func TestExactTimeOfThisProcess(t *testing.T) {
	before, err := Exact([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for deadline := time.Now().Add(10 * time.Second); after-before < time.Millisecond && time.Now().Before(deadline); {
		if after, err = Exact([]int{os.Getpid()}); err != nil {
			t.Fatal(err)
		}
	}
	if after-before < time.Millisecond {
		t.Errorf("busy for a while: %v, then %v", before, after)
	}
	if _, err := Exact([]int{1 << 30}); err == nil {
		t.Error("a process that there is not")
	}
}

func TestParseSchedstat(t *testing.T) {
	if got, err := parseSchedstat("1009553 6408571 2\n"); err != nil || got != 1009553*time.Nanosecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "1 2", "x 2 3", "1 2 3 4"} {
		if got, err := parseSchedstat(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
