// SPDX-License-Identifier: Apache-2.0

package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// HostPIDs maps process numbers inside the node to those on the host. Processes
// of Pods with a pid namespace of their own are not in it.
func (c *Client) HostPIDs() map[int]int {
	out := map[int]int{}
	own, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(c.process.PID), "ns", "pid"))
	if err != nil {
		return out
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return out
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", entry.Name())
		if link, err := os.Readlink(filepath.Join(dir, "ns", "pid")); err != nil || link != own {
			continue
		}
		// The process may have ended meanwhile; then it has no number.
		if data, err := os.ReadFile(filepath.Join(dir, "status")); err == nil {
			if inner := innermostPID(string(data)); inner != 0 {
				out[inner] = pid
			}
		}
	}
	return out
}

// innermostPID reads the last number of the NSpid line of /proc/<pid>/status.
func innermostPID(status string) int {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				return 0
			}
			pid, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return 0
			}
			return pid
		}
	}
	return 0
}
