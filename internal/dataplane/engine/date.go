// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dateLine is the Date header of one second.
type dateLine struct {
	second int64
	text   []byte
}

// dateClock renders the Date header at most once a second.
type dateClock struct{ current atomic.Pointer[dateLine] }

func (d *dateClock) at(now time.Time) []byte {
	second := now.Unix()
	if line := d.current.Load(); line != nil && line.second == second {
		return line.text
	}
	line := &dateLine{second: second, text: []byte(now.UTC().Format(http.TimeFormat))}
	d.current.Store(line)
	return line.text
}
