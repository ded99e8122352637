// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time that this process has used. Unlike the time of
// day it hardly depends on what else runs on the machine.
func CPU() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
