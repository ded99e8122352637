// SPDX-License-Identifier: Apache-2.0

// Package feed is how a measured gateway gets its configuration from the
// configuration stream, as it does in a fleet: a process in the manager's place,
// tools/feeder, that serves the stream and changes routes when it is told to.
// What both ends say to each other is here, and the end that asks.
package feed

import (
	"fmt"
	"time"
)

// Setup is the first line that a feeder reads.
type Setup struct {
	// Config is the path of a Kong declarative file: what is served at first.
	Config string
	// Cert and Key are PEM files of the feeder's own certificate.
	Cert, Key string
	// Gateway is the namespace/name of the gateway that the proxy belongs to,
	// and Token what the proxy shows.
	Gateway, Token string
}

// Verb is what a feeder is asked to do. It answers each with a Report.
type Verb string

const (
	// Await waits until the proxy has acknowledged the newest configuration.
	Await Verb = "await"
	// Begin begins to change routes.
	Begin Verb = "begin"
	// End ends that when the change under way is acknowledged, and reports.
	End Verb = "end"
)

// Command is one line that a feeder reads.
type Command struct {
	Verb Verb
	// Routes are the names of the routes that Begin changes by turns: all paths
	// of a route give way to new ones.
	Routes []string
	// Rate is how many changes a second Begin makes, at times fixed
	// beforehand; 0 makes each as soon as the one before it is acknowledged.
	Rate float64
}

// Report is what a feeder did since Begin.
type Report struct {
	// Failure is why it cannot go on.
	Failure string
	// Changes is how many were made. Each was acknowledged by the proxy, with
	// nothing rejected, before the next was made.
	Changes int
	// Elapsed is the time from Begin to End.
	Elapsed time.Duration
	// Delay is the median time until a change was acknowledged.
	Delay time.Duration
	// Host is that of the route that was changed last, Path is where it is
	// now, and Former where it was before.
	Host, Path, Former string
}

// least is the share of the changes due that make a round count. The rest may
// be late where other programs keep the feeder from its core.
const least = 0.5

// Taken returns an error unless the proxy took the changes that were due at a
// rate, so that a proxy that falls behind is not measured at none.
func (r *Report) Taken(rate float64) error {
	elapsed := r.Elapsed.Round(time.Millisecond)
	switch due := rate * r.Elapsed.Seconds(); {
	case r.Failure != "":
		return fmt.Errorf("configuration stream: %s", r.Failure)
	case r.Changes == 0:
		return fmt.Errorf("the proxy took no change within %v", elapsed)
	case float64(r.Changes) < least*due:
		return fmt.Errorf("the proxy took %d changes within %v, %.0f were due", r.Changes, elapsed, due)
	}
	return nil
}
