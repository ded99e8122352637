// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"maps"
	"time"
)

// unset is a time to live that nobody gave.
const unset = time.Duration(-1)

// secret is a location with how long its value may be used.
type secret struct {
	location
	// ttl is how long a value is used before it is read again, 0 for ever.
	ttl time.Duration
	// negative is how long it takes until what could not be read is tried again.
	negative time.Duration
	// resurrect is how long after its ttl a value goes on that cannot be read any
	// more; unset for ever.
	resurrect time.Duration
}

// value is what is known of a secret.
type value struct {
	text  string
	known bool
	// failure says why the last reading failed, nil if it did not.
	failure error
	// at is when text was read, next when it is read again: never if zero.
	at, next time.Time
}

// values remembers values for as long as something uses them. It is not safe
// for concurrent use.
type values struct {
	sources sources
	now     func() time.Time
	known   map[secret]*value
}

// get returns the value of s. It reads it if it is time to, or if there is none
// yet: whoever asks may have put it there just now.
func (v *values) get(s secret) *value {
	now := v.now()
	e := v.known[s]
	if e == nil {
		e = &value{next: now}
		v.known[s] = e
	}
	if e.known && !e.due(now) {
		return e
	}
	text, err := v.sources.read(s.location)
	if err == nil {
		*e = value{text: text, known: true, at: now}
		if s.ttl > 0 {
			e.next = now.Add(s.ttl)
		}
		return e
	}
	e.failure, e.next = err, now.Add(s.negative)
	if e.known && s.resurrect != unset {
		end := e.at.Add(s.ttl + s.resurrect)
		if !now.Before(end) {
			e.text, e.known = "", false
		} else if end.Before(e.next) {
			e.next = end
		}
	}
	return e
}

func (e *value) due(now time.Time) bool { return !e.next.IsZero() && !now.Before(e.next) }

// retain forgets values that are not used.
func (v *values) retain(used map[secret]bool) {
	maps.DeleteFunc(v.known, func(s secret, _ *value) bool { return !used[s] })
}
