// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// tailLines is how much of a log a failure shows.
const tailLines = 15

// tailBytes bounds what is read of a log to find its last lines.
const tailBytes = 16 << 10

// Failure is the end of a step that a person has to act on.
type Failure struct {
	// Part is the component, build or image that failed.
	Part string
	// Log is its log file; empty if it has none.
	Log string
	// Fix is the likely remedy; when empty, one is derived from the log.
	Fix string
	// Err is the cause.
	Err error
}

// Error names the part, the cause, the log with its last lines, and the fix.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed: %v", f.Part, f.Err)
	tail := ""
	if f.Log != "" {
		tail = Tail(f.Log, tailLines)
		fmt.Fprintf(&b, "\n  log file: %s", f.Log)
		if tail != "" {
			fmt.Fprintf(&b, "\n  its last lines:\n    %s", strings.ReplaceAll(tail, "\n", "\n    "))
		}
	}
	fix := f.Fix
	if fix == "" {
		fix = LikelyFix(tail + "\n" + f.Err.Error())
	}
	if fix != "" {
		fmt.Fprintf(&b, "\n  likely fix: %s", fix)
	}
	return b.String()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Tail returns the last n lines of a file, or nothing if it cannot be read.
func Tail(path string, n int) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := file.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// knownTroubles maps what logs say to what helps, most specific first.
var knownTroubles = []struct{ sign, fix string }{
	{"no space left on device", "free some disk space (a full build needs about 8 GiB in the Go build cache), then run the same command again"},
	{"signal: killed", "the kernel probably ended it for lack of memory: close other programs or add swap, then run the same command again"},
	{"requires go >= ", "install the Go version that the message names, or set GOTOOLCHAIN=auto"},
	{"connection refused\n", "a part it depends on is not running: run the same command again, it starts what is dead"},
	{"missing go.sum entry", "restore the tools module's go.sum from the repository: git checkout -- test/cluster/tools"},
	{"dial tcp", "the module proxy could not be reached: check the network and GOPROXY, then run the same command again"},
	{"i/o timeout", "check the network and GOPROXY, then run the same command again"},
	{"operation not permitted", "run it as root, with CAP_SYS_ADMIN and CAP_NET_ADMIN (a restricted container is not enough)"},
	{"address already in use", "another program took the port: run `down`, then `up`, which chooses free ports"},
	{"too many open files", "raise the limit: ulimit -n 65536"},
}

// LikelyFix derives a remedy from a log excerpt; empty when nothing is known.
func LikelyFix(excerpt string) string {
	for _, trouble := range knownTroubles {
		if strings.Contains(excerpt, trouble.sign) {
			return trouble.fix
		}
	}
	return ""
}
