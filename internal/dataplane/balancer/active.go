// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Probe asks one address how it is. It returns the status of its answer, 0 for
// a check that only connects, or why there was none. It ends with ctx.
type Probe func(ctx context.Context, q *Question) (status int, err error)

// Question is what a probe asks. It is shared and must not be changed.
type Question struct {
	Addr netip.AddrPort
	// Type is http, https or tcp.
	Type string
	// Host is what the request is addressed to, Path its target.
	Host, Path string
	Headers    map[string][]string
	// ServerName is that of TLS, Verify whether the certificate is checked.
	ServerName string
	Verify     bool
	// Certificate is shown to a server that asks for one, nil for none.
	Certificate *tls.Certificate
}

// Kong's defaults of active checks.
const (
	defaultProbeTimeout     = time.Second
	defaultProbeConcurrency = 10
)

var (
	activeHealthyStatuses   = []int{200, 302}
	activeUnhealthyStatuses = []int{429, 404, 500, 501, 502, 503, 504, 505}
)

// active is the active health check of an upstream (Kong docs, "Health checks
// and circuit breakers"): targets that are well are asked at one interval,
// others at another.
type active struct {
	checks
	probe              Probe
	healthy, unhealthy time.Duration // intervals; 0 switches off
	timeout            time.Duration
	concurrency        int
	question           Question // but for the address, the certificate and, without its own, the names
	certificate        func() *tls.Certificate

	stop  context.CancelFunc
	ended sync.WaitGroup
}

// newActive returns the active check of an upstream, nil if it has none.
func newActive(u *entity.Upstream, store *Store) *active {
	if u.Healthchecks == nil || u.Healthchecks.Active == nil || store.Probe == nil {
		return nil
	}
	c := u.Healthchecks.Active
	a := &active{
		checks:      checks{healthyStatuses: activeHealthyStatuses, unhealthyStatuses: activeUnhealthyStatuses},
		probe:       store.Probe,
		certificate: func() *tls.Certificate { return nil },
		timeout:     interval(c.Timeout, defaultProbeTimeout),
		concurrency: or(c.Concurrency, defaultProbeConcurrency),
		question: Question{
			Type: c.Type, Host: u.HostHeader, Path: c.HTTPPath, Headers: c.Headers, ServerName: c.HTTPSSNI, Verify: or(c.HTTPSVerifyCertificate, true),
		},
	}
	if ref := u.ClientCertificate; ref != nil && store.Certificate != nil {
		a.certificate = func() *tls.Certificate { return store.Certificate(ref.ID) }
	}
	switch a.question.Type {
	case "":
		a.question.Type = "http"
	case "grpc", "grpcs":
		// Kong has no check of its own for them: it connects.
		a.question.Type = "tcp"
	}
	if a.question.Path == "" {
		a.question.Path = "/"
	}
	if h := c.Healthy; h != nil {
		a.healthy = interval(h.Interval, 0)
		a.limits[successes] = or(h.Successes, 0)
		if h.HTTPStatuses != nil {
			a.healthyStatuses = h.HTTPStatuses
		}
	}
	if h := c.Unhealthy; h != nil {
		a.unhealthy = interval(h.Interval, 0)
		a.limits[httpFailures], a.limits[tcpFailures], a.limits[timeouts] = or(h.HTTPFailures, 0), or(h.TCPFailures, 0), or(h.Timeouts, 0)
		if h.HTTPStatuses != nil {
			a.unhealthyStatuses = h.HTTPStatuses
		}
	}
	if a.healthy <= 0 && a.unhealthy <= 0 {
		return nil
	}
	return a
}

// interval turns seconds into a duration.
func interval(seconds *float64, fallback time.Duration) time.Duration {
	if seconds == nil {
		return fallback
	}
	return time.Duration(*seconds * float64(time.Second))
}

// watch asks the balancer's peers until it is closed.
func (b *Balancer) watch(a *active) {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	for _, half := range []struct {
		every     time.Duration
		available bool
	}{{a.healthy, true}, {a.unhealthy, false}} {
		if half.every <= 0 {
			continue
		}
		a.ended.Add(1)
		go func() {
			defer a.ended.Done()
			tick := time.NewTicker(half.every)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					b.ask(ctx, a, half.available)
				case <-ctx.Done():
					return
				}
			}
		}()
	}
}

// ask probes the peers that are available, or those that are not.
func (b *Balancer) ask(ctx context.Context, a *active, available bool) {
	preparing, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	_ = b.Prepare(preparing) // names that cannot be resolved have no addresses to ask
	slots := make(chan struct{}, a.concurrency)
	var asked sync.WaitGroup
	for _, p := range b.Peers() {
		if p.Weight == 0 || p.Health().Available() != available {
			continue
		}
		slots <- struct{}{}
		asked.Add(1)
		go func() {
			defer asked.Done()
			defer func() { <-slots }()
			a.ask(ctx, p)
		}()
	}
	asked.Wait()
}

// ask probes one peer and counts what came of it.
func (a *active) ask(ctx context.Context, p *Peer) {
	q := a.question
	q.Addr = p.Addr
	if q.Host == "" {
		q.Host = p.Host
	}
	if q.ServerName == "" {
		q.ServerName = q.Host
	}
	q.Certificate = a.certificate()
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	status, err := a.probe(limited, &q)
	switch {
	case ctx.Err() != nil: // the balancer was closed
	case err == nil && q.Type == "tcp":
		a.count(p.state, successes)
	case err == nil:
		a.status(p.state, status)
	case timedOut(err):
		a.count(p.state, timeouts)
	default:
		a.count(p.state, tcpFailures)
	}
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
