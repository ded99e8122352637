// SPDX-License-Identifier: Apache-2.0

// Package cluster brings local clusters up and down and tells how they are. It
// puts the other packages to work in the right order.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
)

// Cluster is one local cluster.
type Cluster struct {
	layout.Cluster
	// Progress is where long commands tell what they do.
	Progress io.Writer
}

// ErrDown is returned by what needs a running cluster.
var ErrDown = errors.New("the cluster is not up: run `up` first")

// markerFile shows that a directory is a cluster's state and may be removed.
const markerFile = ".kong-istio-gateway-cluster"

// connect returns the running node and the settings it was started with.
func (c *Cluster) connect() (*node.Client, Settings, error) {
	client, err := node.Connect(c.Record())
	if err != nil {
		return nil, Settings{}, err
	}
	if client == nil {
		return nil, Settings{}, ErrDown
	}
	settings, err := readSettings(c.Settings())
	return client, settings, err
}

// prepareStateDir takes possession of the state directory, unless it is somebody
// else's. The directory must exist and be locked.
func (c *Cluster) prepareStateDir() error {
	marker := c.Path(markerFile)
	if _, err := os.Stat(marker); err == nil {
		return os.MkdirAll(c.LogDir(), 0o755)
	}
	entries, err := os.ReadDir(c.StateDir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("--state-dir %s holds files that are not a cluster's: choose an empty directory", c.StateDir)
	}
	if err := os.WriteFile(marker, nil, 0o644); err != nil {
		return err
	}
	return os.MkdirAll(c.LogDir(), 0o755)
}

// lock keeps two commands from changing one cluster at once. It locks the state
// directory itself, so that no lock file is left behind. The directory must exist.
func (c *Cluster) lock(ctx context.Context, create bool) (unlock func(), err error) {
	for told := false; ; {
		dir, err := c.openStateDir(create)
		if err != nil {
			return nil, err
		}
		if dir != nil {
			if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil && isCurrent(dir, c.StateDir) {
				return func() { _ = dir.Close() }, nil
			}
			_ = dir.Close()
		}
		if !told {
			fmt.Fprintf(c.Progress, "waiting for another command that works on cluster %s\n", c.Name)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockInterval):
		}
	}
}

// openStateDir returns nil if another command removed the directory just now.
func (c *Cluster) openStateDir(create bool) (*os.File, error) {
	if !create {
		return os.Open(c.StateDir)
	}
	if err := os.MkdirAll(c.StateDir, 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	dir, err := os.Open(c.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return dir, err
}

const lockInterval = 200 * time.Millisecond

// isCurrent reports whether the open directory is still the one at path, and
// was not removed while we waited for it.
func isCurrent(dir *os.File, path string) bool {
	opened, err := dir.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// installExecutable copies this program to where the node runs it from.
func (c *Cluster) installExecutable() (revision string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	revision, err = fileSum(self)
	if err != nil {
		return "", err
	}
	if installed, err := fileSum(c.Executable()); err == nil && installed == revision {
		return revision, nil
	}
	if err := os.MkdirAll(filepath.Dir(c.Executable()), 0o755); err != nil {
		return "", err
	}
	return revision, copyFile(self, c.Executable())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
