// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"time"
)

// Schedule decides when a changing snapshot is written: after it was quiet for
// a while, but not more often than the interval allows. It is a value without a
// clock of its own; callers say what time it is, or leave the clock to Keep. The
// zero times mean never.
type Schedule struct {
	Quiet    time.Duration // how long nothing must have changed
	Interval time.Duration // between two writes

	changed time.Time // last change since the last write
	first   time.Time // first change since the last write
	written time.Time
}

// NewSchedule returns the schedule of the snapshot Secrets and of the proxy's
// copy: after 10 s of quiet, at most once a minute.
func NewSchedule() Schedule {
	return Schedule{Quiet: 10 * time.Second, Interval: time.Minute}
}

// Changed notes that the snapshot changed.
func (s *Schedule) Changed(now time.Time) {
	if s.first.IsZero() {
		s.first = now
	}
	s.changed = now
}

// Written notes that a write of everything up to now was made or, when it
// failed, tried: it is tried again after a further change or Changed call.
func (s *Schedule) Written(now time.Time) {
	s.written, s.first, s.changed = now, time.Time{}, time.Time{}
}

// Due returns when to write, and whether there is anything to write. A snapshot
// that never gets quiet is written once per Interval all the same.
func (s *Schedule) Due() (time.Time, bool) {
	if s.first.IsZero() {
		return time.Time{}, false
	}
	due := s.changed.Add(s.Quiet)
	if limit := s.first.Add(s.Interval); due.After(limit) {
		due = limit
	}
	if next := s.written.Add(s.Interval); !s.written.IsZero() && due.Before(next) {
		due = next
	}
	return due, true
}

// Keep calls write with the newest value from changes when s has it due, until
// ctx ends; a write that failed is tried again when its time has come anew. It
// returns the newest value, and whether it is still to be written.
func Keep[T any](ctx context.Context, s Schedule, changes <-chan T, write func(T) error) (newest T, pending bool) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if due, ok := s.Due(); ok {
			timer.Reset(time.Until(due))
		}
		select {
		case <-ctx.Done():
			select {
			case newest = <-changes:
				return newest, true
			default:
			}
			_, pending = s.Due()
			return newest, pending
		case newest = <-changes:
			s.Changed(time.Now())
		case <-timer.C:
			if _, ok := s.Due(); !ok {
				continue
			}
			err := write(newest)
			s.Written(time.Now())
			if err != nil {
				s.Changed(time.Now())
			}
		}
	}
}
