// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
)

// Pod says where the proxy runs.
type Pod struct {
	Name string
	UID  string
	Node string
}

// Config is what a Client needs. Gateway, Target, CADir, TokenFile and Apply
// are required.
type Config struct {
	Gateway configsync.Gateway
	Pod     Pod
	Version string
	Schemas []configsync.Schema

	// Target is the managers' headless Service as "host:port"; "dns:///" before
	// it is accepted. Every address of it is tried: only the leader listens.
	Target string
	// ServerName is checked in the manager's certificate; it defaults to the
	// host of Target.
	ServerName string
	// CADir holds PEM files with the roots that are trusted. It is read for
	// every connection.
	CADir string
	// TokenFile holds the ServiceAccount token. It is read for every connection.
	TokenFile string

	// SnapshotDir is where the snapshot Secrets are mounted, DataDir where the
	// proxy keeps its own copy. Both may be empty.
	SnapshotDir string
	DataDir     string

	// Apply makes an update the one that is served and returns everything that
	// it leaves out, not only what is new. It is called from one goroutine, one
	// call after the other, and must not wait for upstreams that are held.
	Apply func(context.Context, Update) []configsync.Rejection
	// Report, when set, is asked for a report every ReportEvery (default 10 s).
	Report      func() configsync.Report
	ReportEvery time.Duration

	// Backoff between rounds over all addresses; see Backoff for the defaults.
	Backoff Backoff
	// Resolve and Dial default to the system's. Connections go straight to the
	// manager: its port is excluded from the sidecar.
	Resolve func(ctx context.Context, host string) ([]string, error)
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

func (c *Config) complete() (host, port string, err error) {
	host, port, err = net.SplitHostPort(strings.TrimPrefix(c.Target, "dns:///"))
	if err != nil {
		return "", "", fmt.Errorf("target %q: %w", c.Target, err)
	}
	for field, value := range map[string]string{
		"gateway namespace": c.Gateway.Namespace, "gateway name": c.Gateway.Name,
		"CA directory": c.CADir, "token file": c.TokenFile,
	} {
		if value == "" {
			return "", "", fmt.Errorf("configuration stream: %s is not set", field)
		}
	}
	if c.Apply == nil {
		return "", "", errors.New("configuration stream: Apply is not set")
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	if c.ReportEvery == 0 {
		c.ReportEvery = 10 * time.Second
	}
	if c.Resolve == nil {
		c.Resolve = net.DefaultResolver.LookupHost
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Backoff.complete()
	return host, port, nil
}

// Backoff is an exponential backoff with full jitter.
type Backoff struct {
	Base time.Duration // upper bound of the first wait, default 250 ms
	Max  time.Duration // upper bound of every wait, default 10 s
}

func (b *Backoff) complete() {
	if b.Base == 0 {
		b.Base = 250 * time.Millisecond
	}
	if b.Max == 0 {
		b.Max = 10 * time.Second
	}
}

// wait returns how long to wait after failures in a row, given a random number
// in [0,1). At least a tenth of the bound is waited.
func (b Backoff) wait(failures int, random float64) time.Duration {
	bound := b.Max
	if shift := failures - 1; shift < 30 {
		bound = min(b.Max, b.Base<<max(0, shift))
	}
	return bound/10 + time.Duration(random*float64(bound-bound/10))
}
