// SPDX-License-Identifier: Apache-2.0

package configsync

import (
	"net/netip"
	"time"
)

// Report is what a proxy says about itself from time to time.
type Report struct {
	RequestsPerSecond float64
	ErrorsPerSecond   float64 // answers with status 5xx
	ActiveConnections uint64
	// ScopePending are the upstream addresses that are served although the
	// sidecar did not show their listener in time.
	ScopePending []ScopePending
	// Errors are current troubles in plain words; they hold no secrets.
	Errors []string
}

// ScopePending is one such address, and since when it is served.
type ScopePending struct {
	Address netip.AddrPort
	Since   time.Time
}

// Omission is a field, or with an empty Field a whole record, that the manager
// leaves out because the proxy did not announce that it understands it.
type Omission struct {
	Record *Record
	Field  string
	Reason string
}
