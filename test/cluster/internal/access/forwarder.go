// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds how long a forwarder tries to reach its target.
const dialTimeout = 10 * time.Second

// Namespace is a network namespace, or the process's own if it is nil.
type Namespace struct {
	// FD refers to the namespace and stays open.
	FD int
}

// do runs f with the calling thread inside the namespace. Sockets stay where
// they were made.
func (n *Namespace) do(f func() error) error {
	if n == nil {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		// The thread is not unlocked and ends with the goroutine, so that nobody
		// else ever runs in a wrong namespace.
		runtime.LockOSThread()
		if err := unix.Setns(n.FD, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("join network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Listen listens inside the namespace.
func (n *Namespace) Listen(address string) (listener net.Listener, err error) {
	return listener, n.do(func() (err error) {
		listener, err = net.Listen("tcp4", address)
		return err
	})
}

// Dial connects inside the namespace; address must be numeric, since names
// would be looked up outside.
func (n *Namespace) Dial(ctx context.Context, address string) (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return conn, n.do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp4", address)
		return err
	})
}

// Forwarder copies connections of one listener to one target. The target may
// be changed while it runs.
type Forwarder struct {
	listener net.Listener
	dial     *Namespace

	mu     sync.Mutex
	target string
}

// NewForwarder listens in one namespace and dials in another.
func NewForwarder(listen *Namespace, address string, dial *Namespace, target string) (*Forwarder, error) {
	listener, err := listen.Listen(address)
	if err != nil {
		return nil, err
	}
	return &Forwarder{listener: listener, dial: dial, target: target}, nil
}

// Addr is where it listens.
func (f *Forwarder) Addr() net.Addr { return f.listener.Addr() }

// SetTarget changes where new connections go.
func (f *Forwarder) SetTarget(target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
}

// Close ends the listener; open connections go on.
func (f *Forwarder) Close() error { return f.listener.Close() }

// Serve accepts connections until Close.
func (f *Forwarder) Serve() {
	for {
		conn, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Printf("forwarder %s: %v", f.Addr(), err)
			continue
		}
		go f.forward(conn)
	}
}

func (f *Forwarder) forward(in net.Conn) {
	defer in.Close()
	f.mu.Lock()
	target := f.target
	f.mu.Unlock()
	out, err := f.dial.Dial(context.Background(), target)
	if err != nil {
		log.Printf("forwarder %s to %s: %v", f.Addr(), target, err)
		return
	}
	defer out.Close()
	var wg sync.WaitGroup
	wg.Go(func() { pipe(out, in) })
	wg.Go(func() { pipe(in, out) })
	wg.Wait()
}

// pipe copies one direction and passes on its end.
func pipe(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	// After an error neither direction is worth keeping.
	_ = to.Close()
	_ = from.Close()
}

// loopback is the host's address for a port.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
