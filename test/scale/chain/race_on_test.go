// SPDX-License-Identifier: Apache-2.0

//go:build race

package chain

// With the race detector everything is slow, so there is less of everything. A
// change that goes through all there is, and what is left over, are seen all the
// same.
const (
	raceDetector = true
	largeTotal   = 3000
	rounds       = 12
	churnChanges = 1500
	// poolBytes is by how much allocations may differ because the race detector
	// makes a sync.Pool forget things at random.
	poolBytes = 128 << 10
)
