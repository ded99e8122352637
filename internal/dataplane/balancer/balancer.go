// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Kong's names of the algorithms.
const (
	RoundRobin        = "round-robin"
	LeastConnections  = "least-connections"
	ConsistentHashing = "consistent-hashing"
	Latency           = "latency"
	StickySessions    = "sticky-sessions"
)

const (
	defaultTargetPort = 8000
	defaultWeight     = 100
	defaultSlots      = 10000
	// retryFailedNames is when a name that could not be resolved is tried again.
	retryFailedNames = time.Second
)

// ErrNoPeer is returned when no peer can take the request. Kong answers it with
// 503 and this text.
var ErrNoPeer = errors.New("failure to get a peer from the ring-balancer")

// Address is one address that a target's name stands for. A zero port means the
// target's own; a zero weight the target's own. Name is what an SRV record leads
// to.
type Address struct {
	Addr   netip.Addr
	Port   uint16
	Weight int
	Name   string
}

// Resolve returns the addresses of a name and when they should be asked for
// again.
type Resolve func(ctx context.Context, host string) (addrs []Address, expires time.Time, err error)

// Failure is why an attempt at a peer failed.
type Failure uint8

// The failures that passive health checks tell apart.
const (
	FailureTCP     Failure = iota // not connected, TLS failed, closed or broken answer
	FailureTimeout                // no answer in time
)

// Balancer picks peers of one upstream, or of the one host of a service. It is
// safe for concurrent use.
type Balancer struct {
	name      string
	algorithm string
	slots     int
	threshold float64 // percent; negative switches it off
	passive   checks
	checked   bool    // some health check is on
	srvNames  bool    // use_srv_name
	active    *active // nil without active checks
	store     *Store
	resolve   Resolve
	targets   []target

	set     atomic.Pointer[peerSet]
	expires atomic.Int64 // nanoseconds; 0 when nothing needs resolving

	refresh  sync.Mutex
	closed   bool
	firstErr error // of the latest resolution, when it left no peer at all
}

// target is a configured target, parsed.
type target struct {
	host   string
	port   uint16
	weight int
}

func (t target) String() string { return net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) }

// New returns the balancer of an upstream. resolve is used for targets given by
// name. The Store carries health and latencies over from earlier balancers of
// the same upstream name. Close it when its configuration is gone.
func New(store *Store, u *entity.Upstream, targets []*entity.Target, resolve Resolve) (*Balancer, error) {
	b, err := Follow(store, u, targets, resolve)
	if err == nil && b.active != nil {
		b.watch(b.active)
	}
	return b, err
}

// Follow is New for an upstream that has another balancer on the same Store: it
// asks no target by itself, and believes what that one finds out.
func Follow(store *Store, u *entity.Upstream, targets []*entity.Target, resolve Resolve) (*Balancer, error) {
	b := &Balancer{
		name:      u.Name,
		algorithm: u.Algorithm,
		slots:     or(u.Slots, defaultSlots),
		srvNames:  or(u.UseSRVName, false),
		passive:   passiveChecks(u),
		store:     store,
		resolve:   resolve,
	}
	switch b.algorithm {
	case "":
		b.algorithm = RoundRobin
	case RoundRobin, LeastConnections, ConsistentHashing, Latency, StickySessions:
	default:
		return nil, fmt.Errorf("upstream %q: algorithm: %q is not supported; use %s, %s, %s, %s or %s",
			u.Name, u.Algorithm, RoundRobin, LeastConnections, ConsistentHashing, Latency, StickySessions)
	}
	b.active = newActive(u, store)
	b.checked = b.passive.limits != [counterKinds]int{} || b.active != nil
	if u.Healthchecks != nil {
		b.threshold = or(u.Healthchecks.Threshold, 0)
	}
	for _, t := range targets {
		parsed, err := parseTarget(t)
		if err != nil {
			return nil, fmt.Errorf("upstream %q: targets: %w", u.Name, err)
		}
		b.targets = append(b.targets, parsed)
	}
	b.start()
	return b, nil
}

// Single returns the balancer of a service whose host is no upstream: its
// addresses take turns, and nothing is ever taken out.
func Single(store *Store, host string, port int, resolve Resolve) *Balancer {
	b := &Balancer{
		name: "", algorithm: RoundRobin, threshold: -1, store: store, resolve: resolve,
		targets: []target{{host: unbracket(host), port: uint16(port), weight: defaultWeight}},
	}
	b.start()
	return b
}

func parseTarget(t *entity.Target) (target, error) {
	out := target{host: t.Target, port: defaultTargetPort, weight: or(t.Weight, defaultWeight)}
	if addr, err := netip.ParseAddr(unbracket(t.Target)); err == nil && !strings.ContainsAny(addr.Zone(), "[]") {
		out.host = addr.String()
		return out, nil
	}
	host, port, err := net.SplitHostPort(t.Target)
	if err != nil {
		if strings.ContainsAny(t.Target, "[]:") || t.Target == "" {
			return out, fmt.Errorf("%q is not host[:port]", t.Target)
		}
		return out, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, "[]") {
		return out, fmt.Errorf("%q is not host[:port]", t.Target)
	}
	out.host, out.port = host, uint16(n)
	return out, nil
}

// unbracket returns an IPv6 address without the brackets around it.
func unbracket(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return host
}

// start installs the peers that need no resolving.
func (b *Balancer) start() {
	var peers []*Peer
	names := false
	for _, t := range b.targets {
		if addr, err := netip.ParseAddr(t.host); err == nil {
			peers = append(peers, b.peer(t, Address{Addr: addr}))
		} else {
			names = true
		}
	}
	b.install(peers)
	if names {
		b.expires.Store(1) // long ago
	}
}

func (b *Balancer) peer(t target, a Address) *Peer {
	p := &Peer{Target: t.String(), Host: t.host, Weight: t.weight, checked: b.checked}
	port := t.port
	if a.Port != 0 {
		port = a.Port
	}
	if a.Weight != 0 && t.weight != 0 {
		p.Weight = a.Weight
	}
	p.Addr = netip.AddrPortFrom(a.Addr, port)
	if b.srvNames && a.Name != "" {
		p.Host = a.Name
	}
	p.key = stateKey{upstream: b.name, host: p.Host, addr: p.Addr}
	if b.algorithm == StickySessions {
		p.session = sessionOf(p)
	}
	return p
}

// install makes peers the current set. Peers that stay keep their identity.
func (b *Balancer) install(peers []*Peer) {
	old := map[stateKey]*Peer{}
	var before []*Peer
	if s := b.set.Load(); s != nil {
		before = s.peers
	}
	for _, p := range before {
		old[p.key] = p
	}
	var created []*Peer
	next := make([]*Peer, 0, len(peers))
	seen := map[stateKey]bool{}
	for _, p := range peers {
		if seen[p.key] { // a name may list an address twice
			continue
		}
		seen[p.key] = true
		if o := old[p.key]; o != nil && o.Weight == p.Weight {
			next = append(next, o)
			continue
		}
		var isNew bool
		if p.state, isNew = b.store.acquire(p.key); isNew {
			created = append(created, p)
		}
		next = append(next, p)
	}
	if before != nil && slices.Equal(next, before) {
		return
	}
	for _, o := range before {
		if !slices.Contains(next, o) {
			b.store.release(o.key)
		}
	}
	seedLatencies(next, created, b.store.now())
	b.set.Store(newPeerSet(next, b.algorithm, b.slots))
}

// seedLatencies starts new peers at the average, so that a new address is not
// flooded because it looks fast.
func seedLatencies(peers, created []*Peer, now time.Time) {
	if len(created) == 0 || len(created) == len(peers) {
		return
	}
	sum := 0.0
	for _, p := range peers {
		sum += p.state.latency(0, now)
	}
	for _, p := range created {
		p.state.seedLatency(sum/float64(len(peers)-len(created)), now)
	}
}

// Pick chooses a peer and counts a request on it; Done must follow. key is what
// consistent hashing hashes, and for sticky sessions the value of the client's
// cookie; the other algorithms need none. Peers in tried are left out as long as
// others are available. The error is ErrNoPeer.
func (b *Balancer) Pick(key string, tried []*Peer) (*Peer, error) {
	s := b.set.Load()
	if len(s.peers) == 0 || b.threshold > 0 && s.share() <= b.threshold {
		return nil, ErrNoPeer
	}
	p := b.pickFrom(s, key, tried)
	if p == nil && len(tried) > 0 {
		p = b.pickFrom(s, key, nil)
	}
	if p == nil {
		return nil, ErrNoPeer
	}
	p.state.active.Add(1)
	return p, nil
}

func (b *Balancer) pickFrom(s *peerSet, key string, tried []*Peer) *Peer {
	switch b.algorithm {
	case LeastConnections:
		return s.leastConnections(tried)
	case Latency:
		return s.latency(tried, b.store.now())
	case ConsistentHashing:
		return s.hashed(key, tried)
	case StickySessions:
		return s.sticky(key, tried)
	default:
		return s.roundRobin(tried)
	}
}

// Done ends a request on a peer that Pick returned. took is the time until the
// answer was complete; 0 when there was none.
func (b *Balancer) Done(p *Peer, took time.Duration) {
	p.state.active.Add(-1)
	if took > 0 && b.algorithm == Latency {
		p.state.observe(took.Seconds(), b.store.now())
	}
}

// ReportStatus tells the passive health check the status that the client gets
// from a peer's answer or, after the last attempt failed, in its stead. A 504
// counts as a timeout.
func (b *Balancer) ReportStatus(p *Peer, status int) {
	if status == 504 {
		b.passive.count(p.state, timeouts)
		return
	}
	b.passive.status(p.state, status)
}

// ReportFailure tells the passive health check of a failed attempt that is
// followed by another one. Kong does not report the last attempt this way: use
// ReportStatus with 502 or 504 there.
func (b *Balancer) ReportFailure(p *Peer, f Failure) {
	if f == FailureTimeout {
		b.passive.count(p.state, timeouts)
		return
	}
	b.passive.count(p.state, tcpFailures)
}

// Peers returns the current peers, in the order of the targets.
func (b *Balancer) Peers() []*Peer { return append([]*Peer(nil), b.set.Load().peers...) }

// Close ends the active checks and gives the peers' state back to the Store.
// Picked peers stay usable.
func (b *Balancer) Close() {
	if b.active != nil && b.active.stop != nil {
		b.active.stop()
		b.active.ended.Wait()
	}
	b.refresh.Lock()
	defer b.refresh.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	for _, p := range b.set.Load().peers {
		b.store.release(p.key)
	}
}
