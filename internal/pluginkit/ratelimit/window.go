// SPDX-License-Identifier: Apache-2.0

// Package ratelimit counts in windows of the UTC calendar, as Kong's
// rate-limiting and response-ratelimiting do: in this process, in Redis, or in
// this process with Redis kept up to date in the background.
package ratelimit

import (
	"strings"
	"time"
)

// Period is one of Kong's windows, shortest first.
type Period int

// The periods.
const (
	Second Period = iota
	Minute
	Hour
	Day
	Month
	Year
	periods
)

var names = [periods]string{"second", "minute", "hour", "day", "month", "year"}

// lengths are in seconds; months and years have Kong's fixed length.
var lengths = [periods]int64{1, 60, 3600, 86400, 2592000, 31536000}

// String returns Kong's name of the period, as in "minute".
func (p Period) String() string { return names[p] }

// Title returns the name as in header names: "Minute".
func (p Period) Title() string { return strings.ToUpper(names[p][:1]) + names[p][1:] }

// Start returns when the window that holds t began, in seconds since the epoch.
func (p Period) Start(t time.Time) int64 {
	switch p {
	case Month:
		year, month, _ := t.UTC().Date()
		return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Unix()
	case Year:
		return time.Date(t.UTC().Year(), time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	default:
		// Days of the epoch's time scale have 86400 seconds and begin at UTC midnight.
		now := t.Unix()
		return now - now%lengths[p]
	}
}

// End returns when the window that began at start is over, in seconds since
// the epoch.
func (p Period) End(start int64) int64 {
	switch p {
	case Month:
		return time.Unix(start, 0).UTC().AddDate(0, 1, 0).Unix()
	case Year:
		return time.Unix(start, 0).UTC().AddDate(1, 0, 0).Unix()
	default:
		return start + lengths[p]
	}
}

// Reset returns the seconds until the window that holds t is over, as Kong
// counts them: months have 30 days, years 365, and the least is 1.
func (p Period) Reset(t time.Time) int64 {
	return max(1, lengths[p]-(t.Unix()-p.Start(t)))
}

// Limits holds a limit per period; 0 stands for none.
type Limits [periods]float64

// ParseLimits reads the limits of a completed config, by names of periods.
func ParseLimits(config map[string]any) Limits {
	var limits Limits
	for p, name := range names {
		switch v := config[name].(type) {
		case int64:
			limits[p] = float64(v)
		case float64:
			limits[p] = v
		}
	}
	return limits
}

// Each calls yield for every period with a limit, shortest first.
func (l *Limits) Each(yield func(p Period, limit float64) bool) {
	for p, limit := range l {
		if limit > 0 && !yield(Period(p), limit) {
			return
		}
	}
}

// Usage holds how much was counted in the present window of each period.
type Usage [periods]float64

// exhausts reports whether the usage leaves nothing of a limit.
func (u *Usage) exhausts(limits *Limits) bool {
	for p, limit := range limits {
		if limit > 0 && limit-u[p] <= 0 {
			return true
		}
	}
	return false
}
