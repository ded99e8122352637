// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/wire"
)

// converse holds one stream, from Hello to its end. served says that at least
// one delta was taken in: the address is the leader's.
func (c *Client) converse(ctx context.Context, address string) (served bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	cc, stream, err := c.open(ctx, address)
	if err != nil {
		cancel()
		return false, err
	}
	var wg sync.WaitGroup
	defer func() {
		cancel()
		err = errors.Join(err, cc.Close())
		wg.Wait()
	}()
	out := &sender{stream: stream}
	if err := out.send(&wire.FromProxy{Message: &wire.FromProxy_Hello{Hello: c.hello()}}); err != nil {
		return false, c.reason(stream, address, err)
	}
	// The manager answers with a header once it has let the proxy in; without
	// one the stream is refused, and receiving says why.
	if header, err := stream.Header(); err == nil && header != nil {
		c.connected(address)
		wg.Go(func() { c.acknowledgeLate(ctx, out) })
		if c.config.Report != nil {
			wg.Go(func() { c.report(ctx, out) })
		}
	}
	for {
		delta, err := receive(stream)
		if err != nil {
			return served, fmt.Errorf("%s: %w", address, err)
		}
		ack, err := c.take(ctx, delta)
		if err != nil {
			return served, fmt.Errorf("%s: %w", address, err)
		}
		served = true
		if err := out.send(&wire.FromProxy{Message: &wire.FromProxy_Ack{Ack: ack}}); err != nil {
			return served, c.reason(stream, address, err)
		}
	}
}

// reason returns why a send failed: gRPC says only io.EOF and leaves the status
// of the stream to the receiving side.
func (c *Client) reason(stream wire.ConfigSync_StreamClient, address string, err error) error {
	if errors.Is(err, io.EOF) {
		_, err = stream.Recv()
	}
	return fmt.Errorf("%s: %w", address, err)
}

func (c *Client) connected(address string) {
	c.log.Info("configuration stream", "manager", address)
	c.update(func(s *State) {
		s.Connected, s.Address, s.Since, s.Failures, s.LastError = true, address, time.Now(), 0, ""
	})
}

func (c *Client) hello() *wire.Hello {
	h := &wire.Hello{
		Protocol: configsync.Protocol, Version: c.config.Version,
		GatewayNamespace: c.config.Gateway.Namespace, GatewayName: c.config.Gateway.Name,
		NodeName: c.config.Pod.Node, PodName: c.config.Pod.Name, PodUid: c.config.Pod.UID,
		Schemas: wire.EncodeSchemas(c.config.Schemas), Position: wire.EncodePosition(c.replica.position),
		LastError: c.lastErr,
	}
	if !c.startOver {
		h.SnapshotHash = wire.EncodeHash(c.replica.items.Hash())
		h.Held = wire.EncodeHeld(c.replica.items)
	}
	return h
}

// receive returns all messages of one delta.
func receive(stream wire.ConfigSync_StreamClient) ([]*wire.Delta, error) {
	var parts []*wire.Delta
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		d := m.GetDelta()
		if d == nil {
			continue // a kind of message that a newer manager knows
		}
		parts = append(parts, d)
		if !d.GetMore() {
			return parts, nil
		}
	}
}

// take applies a delta and returns what to answer.
func (c *Client) take(ctx context.Context, parts []*wire.Delta) (*wire.Ack, error) {
	u, err := c.replica.apply(parts, c.startOver)
	if err != nil {
		var mismatch *mismatchError
		c.startOver = c.startOver || errors.As(err, &mismatch)
		return nil, err
	}
	c.startOver = false
	c.handOn(ctx, u)
	if c.config.DataDir != "" {
		select {
		case <-c.disk: // an older one that nobody took
		default:
		}
		c.disk <- u
	}
	return c.acknowledgement(), nil
}

// acknowledgement says what was applied last, and what of it was left out.
func (c *Client) acknowledgement() *wire.Ack {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Concat(c.rejected, c.undecodable)
	return &wire.Ack{
		Position: wire.EncodePosition(c.state.Position), SnapshotHash: wire.EncodeHash(c.state.Hash),
		Rejected:      wire.EncodeRejections(all[:min(len(all), maxRejections)]),
		RejectedTotal: uint32(len(all)),
	}
}

// acknowledgeLate sends another acknowledgement each time Reject was called.
func (c *Client) acknowledgeLate(ctx context.Context, out *sender) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.late:
		}
		if out.send(&wire.FromProxy{Message: &wire.FromProxy_Ack{Ack: c.acknowledgement()}}) != nil {
			return // the receiving side notices and says why
		}
	}
}

// maxRejections bounds what an Ack lists; more are only counted.
const maxRejections = 200

// report sends reports until ctx ends.
func (c *Client) report(ctx context.Context, out *sender) {
	ticker := time.NewTicker(c.config.ReportEvery)
	defer ticker.Stop()
	for {
		r := wire.EncodeReport(c.config.Report())
		if out.send(&wire.FromProxy{Message: &wire.FromProxy_Report{Report: r}}) != nil {
			return // the receiving side notices and says why
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sender lets two goroutines send.
type sender struct {
	mu     sync.Mutex
	stream wire.ConfigSync_StreamClient
}

func (s *sender) send(m *wire.FromProxy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}
