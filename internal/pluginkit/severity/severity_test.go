// SPDX-License-Identifier: Apache-2.0

package severity

import "testing"

func TestPriority(t *testing.T) {
	r := Rules{Level: "warning", Successful: "info", ClientErrors: "warning", ServerErrors: "err"}
	for _, c := range []struct {
		facility string
		status   int
		priority int
		wanted   bool
	}{
		{User, 200, 14, false},
		{User, 0, 14, false},
		{User, 399, 14, false},
		{User, 400, 12, true},
		{User, 499, 12, true},
		{User, 500, 11, true},
		{"kern", 500, 3, true},
		{"local7", 500, 187, true},
		{"authpriv", 500, 83, true},
	} {
		if p, wanted := r.Priority(c.facility, c.status); p != c.priority || wanted != c.wanted {
			t.Errorf("%+v: %d, %t", c, p, wanted)
		}
	}
}
