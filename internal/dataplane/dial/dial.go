// SPDX-License-Identifier: Apache-2.0

// Package dial makes all outgoing connections of the data plane, those to
// upstreams and those of plugins. Addresses are checked when the socket
// connects, so that no name can resolve to something else in between.
package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/resolver"
)

// DefaultTimeout is the longest time for one connection attempt when Dialer
// sets none: Kong's connect_timeout.
const DefaultTimeout = 60 * time.Second

// Resolver turns host names into addresses.
type Resolver interface {
	Lookup(ctx context.Context, host string) ([]resolver.Record, time.Time, error)
}

// Kind is why a connection could not be made.
type Kind uint8

// The kinds of failure.
const (
	Other      Kind = iota // unreachable, reset, out of resources, …
	Forbidden              // the policy refuses the address
	Refused                // nobody listens there
	Timeout                // no answer in time
	Canceled               // the caller gave up
	Unresolved             // the name has no address, or the DNS servers failed
)

// Error is a failed dial.
type Error struct {
	Kind    Kind
	Network string
	Address string // as asked for
	Err     error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Kind == Forbidden {
		return fmt.Sprintf("connecting to %s is not allowed: %v", e.Address, e.Err)
	}
	return fmt.Sprintf("connecting to %s: %v", e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout implements net.Error.
func (e *Error) Timeout() bool { return e.Kind == Timeout }

// Temporary implements net.Error.
func (e *Error) Temporary() bool { return false }

// KindOf returns the kind of a dial's error, Other if it is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Other
}

// Dialer makes outgoing connections. It is safe for concurrent use.
type Dialer struct {
	resolver Resolver
	timeout  time.Duration
	policy   atomic.Pointer[Policy]
	turn     atomic.Uint32
}

// New returns a dialer without a policy. timeout bounds each connection
// attempt; 0 means DefaultTimeout.
func New(r Resolver, timeout time.Duration) *Dialer {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Dialer{resolver: r, timeout: timeout}
}

// SetPolicy replaces the policy for connections made from now on; nil lets
// everything through.
func (d *Dialer) SetPolicy(p *Policy) { d.policy.Store(p) }

// DialContext connects to host:port over network: "tcp", "udp", their "4" and
// "6" forms, or, without a policy, "unix". A name's addresses are tried one
// after another, a different one first each time. TCP connections have
// TCP_NODELAY set. The error is an *Error.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.DialTimeout(ctx, network, address, d.timeout)
}

// DialTimeout is DialContext with a time for each connection attempt of its
// own, for example a service's connect_timeout.
func (d *Dialer) DialTimeout(ctx context.Context, network, address string, timeout time.Duration) (net.Conn, error) {
	addrs, err := d.addresses(ctx, network, address)
	if err != nil {
		return nil, d.failure(ctx, network, address, err)
	}
	nd := net.Dialer{Timeout: timeout, ControlContext: d.control}
	start := int(d.turn.Add(1))
	for i := range addrs {
		var conn net.Conn
		if conn, err = nd.DialContext(ctx, network, addrs[(start+i)%len(addrs)]); err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, d.failure(ctx, network, address, err)
}

// unresolvedError marks failures of the resolver.
type unresolvedError struct{ error }

func (e unresolvedError) Unwrap() error { return e.error }

// forbiddenError marks refusals of the policy.
type forbiddenError struct{ error }

// addresses returns what to connect to.
func (d *Dialer) addresses(ctx context.Context, network, address string) ([]string, error) {
	if strings.HasPrefix(network, "unix") {
		if d.policy.Load() != nil {
			return nil, forbiddenError{errors.New("unix sockets belong to this pod")}
		}
		return []string{address}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{address}, nil
	}
	records, _, err := d.resolver.Lookup(ctx, host)
	if err != nil {
		return nil, unresolvedError{err}
	}
	var out []string
	for _, r := range records {
		if !fits(network, r.Addr) {
			continue
		}
		p := port
		if r.Port != 0 {
			p = strconv.Itoa(int(r.Port))
		}
		out = append(out, net.JoinHostPort(r.Addr.String(), p))
	}
	if len(out) == 0 {
		return nil, unresolvedError{fmt.Errorf("%q has no address for %s", host, network)}
	}
	return out, nil
}

func fits(network string, a netip.Addr) bool {
	switch {
	case strings.HasSuffix(network, "4"):
		return a.Unmap().Is4()
	case strings.HasSuffix(network, "6"):
		return a.Is6() && !a.Is4In6()
	default:
		return true
	}
}

// control runs with the address that the socket is about to connect to.
func (d *Dialer) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	p := d.policy.Load()
	if p == nil {
		return nil
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return forbiddenError{fmt.Errorf("%s %s is no address", network, address)}
	}
	if err := p.Check(a); err != nil {
		return forbiddenError{err}
	}
	return nil
}

func (d *Dialer) failure(ctx context.Context, network, address string, err error) *Error {
	e := &Error{Network: network, Address: address, Err: err}
	var forbidden forbiddenError
	var unresolved unresolvedError
	var ne net.Error
	switch {
	case errors.As(err, &forbidden):
		e.Kind, e.Err = Forbidden, forbidden.error
	case errors.Is(ctx.Err(), context.Canceled):
		e.Kind = Canceled
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Kind = Timeout
	case errors.As(err, &unresolved):
		e.Kind, e.Err = Unresolved, unresolved.error
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Kind = Refused
	case errors.As(err, &ne) && ne.Timeout():
		e.Kind = Timeout
	}
	return e
}
