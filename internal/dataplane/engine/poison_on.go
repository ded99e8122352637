// SPDX-License-Identifier: Apache-2.0

//go:build poison

package engine

// poison overwrites released memory, so that a view that was kept beyond its
// phase shows garbage instead of plausible bytes.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
