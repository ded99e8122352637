// SPDX-License-Identifier: Apache-2.0

// Package client is the proxy's end of the configuration stream. It keeps what
// the proxy holds, starts from a copy when no manager can be reached, and hands
// every change to the data plane. Losing the manager stops changes, never
// traffic.
package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
)

// Client follows the stream. Load and Run are called one after the other, State
// at any time.
type Client struct {
	config     Config
	host, port string
	log        *slog.Logger

	// Used by Load and Run only.
	replica   *replica
	startOver bool // hold nothing in the next Hello: a delta did not lead where it should
	lastErr   string
	disk      chan Update // newest update for the copy on disk

	late chan struct{} // Reject was called

	mu          sync.Mutex
	state       State
	rejected    []configsync.Rejection // by the data plane
	undecodable []configsync.Rejection // by this client
}

// State is what a client knows about itself, for status and metrics.
type State struct {
	Connected  bool
	Address    string    // of the manager, while connected
	Since      time.Time // when the connection came or went
	Applied    bool      // some configuration is served
	Position   configsync.Position
	Hash       configsync.Hash
	LastChange time.Time // when the last update was applied
	Rejected   int       // entities that are left out
	Failures   int       // rounds over all addresses that failed in a row
	LastError  string    // why there is no connection, or the last one ended
}

// New checks the configuration and returns a client that does nothing yet.
func New(c Config) (*Client, error) {
	host, port, err := c.complete()
	if err != nil {
		return nil, err
	}
	return &Client{
		config: c, host: host, port: port, log: c.Logger, replica: newReplica(), disk: make(chan Update, 1), late: make(chan struct{}, 1),
	}, nil
}

// State returns the present state.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Client) update(f func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.state)
}

// Load starts from the later of the proxy's own copy and the mounted snapshot.
// It says whether there was one; an error says what was wrong with those that
// could not be used, also when another one could.
func (c *Client) Load(ctx context.Context) (bool, error) {
	var errs []error
	var best *shard.Snapshot
	read := func(dir string, from func(string) (shard.Snapshot, error)) {
		if dir == "" {
			return
		}
		s, err := from(dir)
		switch {
		case errors.Is(err, shard.ErrNone):
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", dir, err))
		case best == nil || s.Position.Compare(best.Position) > 0:
			best = &s
		}
	}
	read(c.config.DataDir, shard.ReadDisk)
	read(c.config.SnapshotDir, shard.ReadDir)
	if best == nil {
		return false, errors.Join(errs...)
	}
	c.handOn(ctx, c.replica.load(*best))
	return true, errors.Join(errs...)
}

// handOn gives an update to the data plane.
func (c *Client) handOn(ctx context.Context, u Update) {
	if u.changes() {
		rejected := c.config.Apply(ctx, u)
		c.update(func(*State) { c.rejected, c.undecodable = rejected, c.replica.rejections() })
	}
	c.update(func(s *State) {
		s.Applied, s.Position, s.Hash, s.Rejected = true, u.Position, u.Hash, len(c.rejected)+len(c.undecodable)
		if u.changes() {
			s.LastChange = time.Now()
		}
	})
}

// Reject tells the manager what is left out of the configuration that was
// applied last, when that changed after Apply returned. It is safe for
// concurrent use.
func (c *Client) Reject(all []configsync.Rejection) {
	c.update(func(s *State) {
		c.rejected = all
		s.Rejected = len(c.rejected) + len(c.undecodable)
	})
	select {
	case c.late <- struct{}{}:
	default: // one is due already, and will say this too
	}
}

// Run follows the stream until ctx ends; its error is then that of ctx.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if c.config.DataDir != "" {
		// It ends after the last update came, and writes it.
		copying, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		wg.Go(func() { c.keepCopy(copying) })
	}
	failures := 0
	for {
		served := c.round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if served {
			failures = 0
		}
		failures++
		c.update(func(s *State) { s.Failures = failures })
		timer := time.NewTimer(c.config.Backoff.wait(failures, rand.Float64()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// round tries every address once, in random order, until one of them serves;
// it returns when that stream has ended.
func (c *Client) round(ctx context.Context) (served bool) {
	addresses, err := c.config.Resolve(ctx, c.host)
	if err == nil && len(addresses) == 0 {
		err = fmt.Errorf("%s has no addresses", c.host)
	}
	if err != nil {
		c.failed(err)
		return false
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	var errs []error
	for _, address := range addresses {
		served, err := c.converse(ctx, net.JoinHostPort(address, c.port))
		if ctx.Err() != nil {
			return served
		}
		if served {
			c.failed(err)
			return true
		}
		errs = append(errs, err)
	}
	c.failed(errors.Join(errs...))
	return false
}

func (c *Client) failed(err error) {
	text := "the manager ended the stream"
	if err != nil {
		text = err.Error()
	}
	c.lastErr = text
	c.update(func(s *State) {
		if s.Connected {
			s.Since = time.Now()
		}
		s.Connected, s.Address, s.LastError = false, "", text
	})
	c.log.Info("no configuration stream", "error", text)
}

// keepCopy writes what is served to disk, when it has been quiet for a while,
// and what a proxy that ends holds, for its container's restart.
func (c *Client) keepCopy(ctx context.Context) {
	if last, pending := shard.Keep(ctx, shard.NewSchedule(), c.disk, c.writeCopy); pending {
		_ = c.writeCopy(last)
	}
}

// writeCopy reports its error itself.
func (c *Client) writeCopy(u Update) error {
	err := shard.WriteDisk(c.config.DataDir, snapshotOf(u))
	if err != nil {
		c.log.Error("the copy of the configuration cannot be written", "directory", c.config.DataDir, "error", err)
	}
	return err
}
