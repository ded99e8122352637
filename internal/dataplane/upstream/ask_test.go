// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// asked is a connection without a buffer, the peer's end of it, and how often a
// buffer was asked for.
func asked(t *testing.T) (c *Conn, peer net.Conn, buffers *atomic.Int32) {
	t.Helper()
	key, conns := server(t)
	pools, _ := newPools(roomy)
	c, err := pools.Pool(key, nil).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peer = <-conns
	t.Cleanup(func() { _, _ = c.Close(), peer.Close() })
	return c, peer, new(atomic.Int32)
}

func counted(n *atomic.Int32) func() []byte {
	return func() []byte {
		n.Add(1)
		return make([]byte, 64)
	}
}

func TestAsk(t *testing.T) {
	c, peer, buffers := asked(t)
	for i, text := range []string{"first", "second"} {
		go func() {
			got := make([]byte, 3)
			_, _ = io.ReadFull(peer, got)
			if n := buffers.Load(); n != int32(i) {
				t.Errorf("%d buffers before the answer came", n)
			}
			_, _ = io.WriteString(peer, text)
		}()
		n, err := c.Ask([]byte("abc"), counted(buffers))
		if n != 3 || err != nil || string(c.Buffered()) != text {
			t.Fatalf("%d bytes written, %v, %q", n, err, c.Buffered())
		}
		c.Use(nil)
	}
}

// What does not fit the socket is written as the peer takes it.
func TestAskLarge(t *testing.T) {
	c, peer, buffers := asked(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() {
		got := make([]byte, len(large))
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, large) {
			t.Errorf("the question is not what was asked: %v", err)
		}
		_, _ = io.WriteString(peer, "answer")
	}()
	if n, err := c.Ask(large, counted(buffers)); n != len(large) || err != nil || string(c.Buffered()) != "answer" {
		t.Fatalf("%d bytes written, %v, %q", n, err, c.Buffered())
	}
}

func TestAskFailures(t *testing.T) {
	t.Run("end", func(t *testing.T) {
		c, peer, buffers := asked(t)
		go func() {
			_, _ = io.ReadFull(peer, make([]byte, 3))
			_ = peer.Close()
		}()
		if _, err := c.Ask([]byte("abc"), counted(buffers)); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	t.Run("closed before", func(t *testing.T) {
		c, peer, buffers := asked(t)
		_ = peer.Close()
		if _, err := c.Ask([]byte("abc"), counted(buffers)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		c, _, buffers := asked(t)
		c.ArmRead(time.Now(), 10*time.Millisecond)
		if n, err := c.Ask([]byte("abc"), counted(buffers)); n != 3 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(n, err)
		}
	})
	t.Run("abort", func(t *testing.T) {
		c, peer, buffers := asked(t)
		go func() {
			_, _ = io.ReadFull(peer, make([]byte, 3))
			c.Abort()
		}()
		if _, err := c.Ask([]byte("abc"), counted(buffers)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
