// SPDX-License-Identifier: Apache-2.0

package http2

import "time"

// What a peer may do that costs us work and moves no request forward is paid from a budget, which fills again with time and
// with every request and every piece of data. A peer that has spent it is told to calm down.
const (
	budgetFull   = 2048
	budgetSecond = 256

	costReset    = 8 // rapid reset (CVE-2023-44487): 256 at once, 32 a second
	costSettings = 16
	costPing     = 4
	costEmpty    = 4 // DATA without data
	costNoise    = 1 // PRIORITY, WINDOW_UPDATE, unknown frames, CONTINUATION

	gainRequest = 8
	gainData    = 4
	// usefulData is how many bytes a DATA frame must have to be worth gainData.
	usefulData = 16
)

// budget starts full as its zero value.
type budget struct {
	spent  int
	filled time.Time
}

func (b *budget) spend(n int) bool {
	b.spent += n
	return b.spent <= budgetFull
}

func (b *budget) gain(n int) { b.spent = max(0, b.spent-n) }

// advance lets time refill the budget.
func (b *budget) advance(now time.Time) {
	if b.filled.IsZero() {
		b.filled = now
	}
	if b.spent == 0 {
		b.filled = now
		return
	}
	if n := int64(now.Sub(b.filled)) * budgetSecond / int64(time.Second); n > 0 {
		b.gain(int(min(n, budgetFull)))
		b.filled = now
	}
}
