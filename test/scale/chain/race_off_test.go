// SPDX-License-Identifier: Apache-2.0

//go:build !race

package chain

const (
	raceDetector = false
	// largeTotal is how many Ingresses there are where there are many.
	largeTotal = 20_000
	// rounds is how often a cost is measured, churnChanges how many random
	// changes there are.
	rounds       = 30
	churnChanges = 10_000
	// poolBytes is for what a sync.Pool forgets at random: nothing.
	poolBytes = 0
)
