// SPDX-License-Identifier: Apache-2.0

package entity

// Delta is what changes from one configuration to the next. An entity occurs in
// it once; the order is of no importance.
type Delta struct {
	// Put are the entities that were added or changed. They are shared and must
	// not be changed.
	Put []Entity
	// Removed are the keys of those that are gone.
	Removed []Key
}

// Empty reports whether nothing changes.
func (d Delta) Empty() bool { return len(d.Put)+len(d.Removed) == 0 }
