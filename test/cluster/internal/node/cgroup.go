// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cgroupRoot is where the host mounts its cgroups.
const cgroupRoot = "/sys/fs/cgroup"

// neededControllers are what the kubelet wants below its root on cgroup v2.
var neededControllers = []string{"cpu", "cpuset", "hugetlb", "io", "memory", "pids"}

// hierarchies returns the roots of the mounted cgroup hierarchies: one with
// cgroup v2, one per controller with v1.
func hierarchies(root string) (roots []string, unified bool, err error) {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}, true, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, false, err
	}
	for _, entry := range entries {
		dir := filepath.Join(root, entry.Name())
		// Links such as cpu -> cpu,cpuacct lead to a hierarchy that is listed itself.
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil && entry.IsDir() {
			roots = append(roots, dir)
		}
	}
	if len(roots) == 0 {
		return nil, false, fmt.Errorf("no cgroup hierarchy is mounted below %s", root)
	}
	return roots, false, nil
}

// prepareCgroups makes the cluster's own cgroup in every hierarchy; all Pods go
// below it, which keeps clusters apart and makes them easy to remove.
func prepareCgroups(root, id string) error {
	roots, unified, err := hierarchies(root)
	if err != nil {
		return err
	}
	for _, dir := range roots {
		own := filepath.Join(dir, id)
		if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if unified {
			err = delegate(dir, own)
		} else {
			err = inheritCpuset(dir, own)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// delegate lets the cluster's cgroup hand controllers to its children.
func delegate(parent, own string) error {
	data, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(data)) {
		if !slices.Contains(neededControllers, controller) {
			continue
		}
		for _, dir := range []string{parent, own} {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
				return fmt.Errorf("enable %s: %w", controller, err)
			}
		}
	}
	return nil
}

// inheritCpuset copies what a new v1 cpuset lacks and cannot hold processes without.
func inheritCpuset(parent, own string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(own, name), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// RemoveCgroups removes the cluster's cgroups. Processes in them must have been
// ended already; it waits until the kernel has let go of them.
func RemoveCgroups(ctx context.Context, id string) error {
	roots, _, err := hierarchies(cgroupRoot)
	if err != nil {
		return err
	}
	for _, dir := range roots {
		if err := removeTree(ctx, filepath.Join(dir, id)); err != nil {
			return err
		}
	}
	return nil
}

func removeTree(ctx context.Context, dir string) error {
	for {
		err := removeOnce(dir)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pollInterval):
		}
	}
}

// removeOnce removes directories from the leaves up; files in them are the
// kernel's and go by themselves.
func removeOnce(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeOnce(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
