// SPDX-License-Identifier: Apache-2.0

package socket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/socket"
)

// pair returns both ends of a connection: ours, and a peer of package net.
func pair(t *testing.T) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	peer, err := net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	c, err := socket.New(accepted)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), peer.Close() })
	return c, peer
}

// More than the kernel's buffers hold goes both ways at once.
func TestBothWays(t *testing.T) {
	t.Parallel()
	c, peer := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	echoed := make(chan error, 1)
	go func() {
		_, err := io.Copy(peer, peer)
		echoed <- errors.Join(err, peer.CloseWrite())
	}()
	wrote := make(chan error, 1)
	go func() {
		n, err := c.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		wrote <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-wrote, <-echoed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back of %d, or others", len(got), len(sent))
	}
}

// Each way to cut what WriteBoth writes comes up, because the peer's buffer
// fills anywhere.
func TestWriteBoth(t *testing.T) {
	t.Parallel()
	c, peer := pair(t)
	_ = c.SetWriteBuffer(4 << 10)
	pieces := [][2]string{
		{"head", strings.Repeat("body", 100_000)}, {strings.Repeat("x", 300_000), "tail"}, {"", "second"}, {"first", ""}, {"", ""},
		{strings.Repeat("y", 100_000), strings.Repeat("z", 100_000)},
	}
	var want strings.Builder
	wrote := make(chan error, 1)
	for _, p := range pieces {
		want.WriteString(p[0] + p[1])
	}
	go func() {
		for _, p := range pieces {
			if n, err := c.WriteBoth([]byte(p[0]), []byte(p[1])); n != len(p[0])+len(p[1]) || err != nil {
				wrote <- fmt.Errorf("%d bytes, %w", n, err)
				return
			}
		}
		wrote <- c.CloseWrite()
	}()
	got, err := io.ReadAll(iotest.HalfReader(peer))
	if err := errors.Join(err, <-wrote); err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Errorf("%d bytes arrived of %d, or others", len(got), want.Len())
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	c, _ := pair(t)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %d, %v", n, err)
	}
	plenty := make([]byte, 64<<20)
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Write(plenty)
	if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write to a peer that does not read: %d, %v", n, err)
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	t.Run("the peer's", func(t *testing.T) {
		t.Parallel()
		c, peer := pair(t)
		_ = peer.CloseWrite()
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // io.Reader asks for this very one
			t.Errorf("Read: %d, %v", n, err)
		}
	})
	t.Run("a reset", func(t *testing.T) {
		t.Parallel()
		c, peer := pair(t)
		_ = peer.SetLinger(0)
		_ = peer.Close()
		n, err := c.Read(make([]byte, 1))
		var op *net.OpError
		if n != 0 || !errors.Is(err, unix.ECONNRESET) || !errors.As(err, &op) || op.Addr.String() != peer.LocalAddr().String() {
			t.Errorf("Read: %d, %v", n, err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("Write: %v", err)
		}
	})
	t.Run("our own, under the feet of who reads", func(t *testing.T) {
		t.Parallel()
		c, _ := pair(t)
		done := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		_ = c.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
	})
}

func TestPeek(t *testing.T) {
	t.Parallel()
	c, peer := pair(t)
	look := func() (n int, err error) {
		failed := c.Raw().Control(func(fd uintptr) { n, err = socket.Peek(fd, make([]byte, 8)) })
		return n, errors.Join(failed, err)
	}
	if n, err := look(); n != 0 || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing there: %d, %v", n, err)
	}
	_, _ = peer.Write([]byte("hello"))
	b := make([]byte, 8)
	for range 2 {
		if err := c.Raw().Read(func(fd uintptr) bool {
			n, err := socket.Peek(fd, b)
			return !errors.Is(err, unix.EAGAIN) || n != 0
		}); err != nil {
			t.Fatal(err)
		}
		if n, err := look(); n != 5 || err != nil {
			t.Errorf("five bytes there: %d, %v", n, err)
		}
	}
	if n, err := c.Read(b); n != 5 || string(b[:n]) != "hello" || err != nil {
		t.Errorf("Read after Peek: %q, %v", b[:n], err)
	}
	_ = peer.Close()
	if n, err := c.Read(b); n != 0 || err != io.EOF { //nolint:errorlint // io.Reader asks for this very one
		t.Errorf("Read: %d, %v", n, err)
	}
	if n, err := look(); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

func TestAllocations(t *testing.T) {
	c, peer := pair(t)
	go func() { _, _ = io.Copy(peer, peer) }()
	b := make([]byte, 16)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations for a message each way", n)
	}
}

var _ syscall.Conn = (*socket.Conn)(nil)
