// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"testing"
)

func TestCompare(t *testing.T) {
	steady, growing := make([]float64, 100), make([]float64, 100)
	for i := range steady {
		steady[i] = 50 + float64(i%3)
		growing[i] = 50 + float64(i)
	}
	for i := range 25 {
		steady[i] = float64(i) // the warm-up
	}
	m := &measure{slack: 3}
	for _, c := range []struct {
		name   string
		values []float64
		flat   bool
	}{{"steady", steady, true}, {"growing", growing, false}} {
		g, ok := compare(c.values)
		if !ok || m.flat(g) != c.flat {
			t.Errorf("%s: %+v, %t", c.name, g, ok)
		}
	}
	if _, ok := compare(steady[:6]); ok {
		t.Error("six samples are enough")
	}
}

func TestReport(t *testing.T) {
	n := newTally()
	n.note("a", nil)
	n.note("b", errors.New("first"))
	n.note("b", errors.New("second"))
	problems := n.report(io.Discard)
	if len(problems) != 1 || problems[0].Error() != "b: 2 of 2 failed, the first with: first" {
		t.Errorf("%v", problems)
	}
	if got := judge(io.Discard, make(samples, len(measures))); len(got) != len(measures) {
		t.Errorf("%v", got)
	}
}
