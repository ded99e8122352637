// SPDX-License-Identifier: Apache-2.0

package status

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bytes formats an amount of memory for an answer.
type Bytes func(n uint64) any

// Mebibytes is what /status uses when nobody asks for another unit.
func Mebibytes(n uint64) any { return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20)) }

// maxScale bounds the digits that a request may ask for.
const maxScale = 12

// bytesIn reads the parameters unit (b, k, m or g) and scale (digits behind the
// point) of /status, in Kong's words where they are wrong.
func bytesIn(unit, scale string) (Bytes, error) {
	digits := 2
	if scale != "" {
		n, err := strconv.Atoi(scale)
		if err != nil || n < 0 || n > maxScale {
			return nil, errors.New("scale must be equal or greater than 0")
		}
		digits = n
	}
	var size float64
	switch strings.ToLower(unit) {
	case "b":
		return func(n uint64) any { return n }, nil
	case "k":
		size = 1 << 10
	case "m", "":
		size, unit = 1<<20, "m"
	case "g":
		size = 1 << 30
	default:
		return nil, fmt.Errorf("invalid unit '%s' (expected 'k/K', 'm/M', or 'g/G')", unit)
	}
	return func(n uint64) any {
		return fmt.Sprintf("%.*f %siB", digits, float64(n)/size, strings.ToUpper(unit))
	}, nil
}
