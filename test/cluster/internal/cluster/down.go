// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

// downTimeout bounds how long processes and cgroups may take to go.
const downTimeout = time.Minute

// Down removes the cluster: the node with all its processes, mounts, interfaces
// and rules, its cgroups and its state directory. It succeeds when there is
// nothing to remove.
func (c *Cluster) Down(ctx context.Context) error {
	// An empty directory is what an interrupted `up` leaves at the very least.
	if err := os.Remove(c.StateDir); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !exists(c.Path(markerFile)) {
		return fmt.Errorf("%s is not a cluster's state directory: not removing it", c.StateDir)
	}
	unlock, err := c.lock(ctx, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	report := progress.New(c.Progress, "end the node", "remove cgroups", "remove state")
	for _, step := range []func(context.Context) error{
		c.endNode,
		func(ctx context.Context) error { return node.RemoveCgroups(ctx, c.ID()) },
		c.removeState,
	} {
		if err := report.Run(ctx, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, downTimeout)
			defer cancel()
			return step(ctx)
		}); err != nil {
			return err
		}
	}
	return nil
}

// endNode ends the one process on which everything else depends: the kernel
// ends all others of its pid namespace, then mounts and networks have no user left.
func (c *Cluster) endNode(ctx context.Context) error {
	process, recorded, err := node.ReadRecord(c.Record())
	if err != nil || !recorded {
		return err
	}
	return process.Kill(ctx)
}

func (c *Cluster) removeState(context.Context) error {
	if mounted, err := mountBelow(c.StateDir); err != nil || mounted != "" {
		return errors.Join(err, fmt.Errorf("%s is a mount point: unmount it, then run `down` again", mounted))
	}
	entries, err := os.ReadDir(c.StateDir)
	if err != nil {
		return err
	}
	// The marker goes last: without it nobody would remove the rest, should this
	// be interrupted.
	for _, entry := range entries {
		if entry.Name() == markerFile {
			continue
		}
		if err := os.RemoveAll(c.Path(entry.Name())); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(c.StateDir); err != nil {
		return err
	}
	// The directory of all clusters goes with the last one.
	_ = os.Remove(filepath.Dir(c.StateDir))
	return nil
}

// mountBelow returns a mount point below dir, since removing through it would
// reach what is not ours.
func mountBelow(dir string) (string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			return fields[4], nil
		}
	}
	return "", scanner.Err()
}

// lockRunning locks the cluster if it exists.
func (c *Cluster) lockRunning(ctx context.Context) (func(), error) {
	if !exists(c.Path(markerFile)) {
		return nil, ErrDown
	}
	return c.lock(ctx, false)
}
