// SPDX-License-Identifier: Apache-2.0

package engine

import "math/rand/v2"

const hexDigits = "0123456789abcdef"

// newRequestID writes a fresh request id, 32 hexadecimal digits, into dst. Ids
// tell requests apart in logs; they are no secret.
func newRequestID(dst *[32]byte) {
	for half := 0; half < 32; half += 16 {
		n := rand.Uint64()
		for i := range 16 {
			dst[half+i] = hexDigits[n&15]
			n >>= 4
		}
	}
}
