// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// bare is a relay of nothing but io.Copy: what a session costs at least.
func bare(b *testing.B, to string) string {
	return upstream(b, func(c *net.TCPConn) {
		up, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", to)
		if err != nil {
			return
		}
		defer func() { _ = up.Close() }()
		var other sync.WaitGroup
		other.Go(func() {
			_, _ = io.Copy(up, c)
			_ = up.(*net.TCPConn).CloseWrite()
		})
		_, _ = io.Copy(c, up)
		_ = c.CloseWrite()
		other.Wait()
	})
}

// relays runs a benchmark against both relays of an upstream.
func relays(b *testing.B, up string, run func(b *testing.B, address string)) {
	b.Run("io.Copy", func(b *testing.B) { run(b, bare(b, up)) })
	b.Run("stream", func(b *testing.B) {
		r := start(b, nil, "")
		r.config(strings.Replace(route("tcp", up, ""), "{name: probe}", "", 1))
		run(b, fmt.Sprintf("127.0.0.1:%d", r.ports[0]))
	})
}

func open(b *testing.B, address string) *net.TCPConn {
	c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func mirror(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) }

// BenchmarkSessions opens a session, sends a byte, reads it back and closes.
func BenchmarkSessions(b *testing.B) {
	relays(b, upstream(b, mirror), func(b *testing.B, address string) {
		one := []byte("x")
		b.ReportAllocs()
		for b.Loop() {
			c := open(b, address)
			_, _ = c.Write(one)
			if _, err := io.ReadFull(c, one); err != nil {
				b.Fatal(err)
			}
			_ = c.Close()
		}
	})
}

// BenchmarkRoundTrips sends a small message back and forth on one session.
func BenchmarkRoundTrips(b *testing.B) {
	relays(b, upstream(b, mirror), func(b *testing.B, address string) {
		c := open(b, address)
		defer func() { _ = c.Close() }()
		message := make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Write(message)
			if _, err := io.ReadFull(c, message); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBulk reads as fast as it can on one session.
func BenchmarkBulk(b *testing.B) {
	const piece = 1 << 20
	block := make([]byte, piece)
	up := upstream(b, func(c *net.TCPConn) {
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	relays(b, up, func(b *testing.B, address string) {
		c := open(b, address)
		defer func() { _ = c.Close() }()
		buf := make([]byte, piece)
		b.SetBytes(piece)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
