// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// TCP opens the listener of a spec.
func TCP(ctx context.Context, s Spec) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: s.control, KeepAlive: -1}
	// Multipath sockets take no filters, which StopHandshakes needs.
	config.SetMultipathTCP(false)
	if s.KeepAlive.On {
		config.KeepAlive, config.KeepAliveConfig = 0, s.KeepAlive.config()
	}
	l, err := config.Listen(ctx, s.network("tcp"), s.Address.String())
	if err != nil {
		return nil, err
	}
	tcp := l.(*net.TCPListener)
	if s.Backlog > 0 {
		if err := setBacklog(tcp, s.Backlog); err != nil {
			_ = tcp.Close()
			return nil, fmt.Errorf("backlog=%d: %w", s.Backlog, err)
		}
	}
	return tcp, nil
}

// UDP opens the socket of a spec.
func UDP(ctx context.Context, s Spec) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: s.control}
	c, err := config.ListenPacket(ctx, s.network("udp"), s.Address.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

func (s Spec) network(base string) string {
	if s.IPv6Only && s.Address.Addr().Is6() {
		return base + "6"
	}
	return base
}

// control sets what must be set before the socket is bound.
func (s Spec) control(_, _ string, raw syscall.RawConn) (err error) {
	if !s.ReusePort {
		return nil
	}
	failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	if failed != nil {
		return failed
	}
	return err
}

// setBacklog asks again for the queue, which package net makes as long as the
// system permits.
func setBacklog(l *net.TCPListener, n int) (err error) {
	raw, failed := l.SyscallConn()
	if failed != nil {
		return failed
	}
	if failed = raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), n) }); failed != nil {
		return failed
	}
	return err
}
