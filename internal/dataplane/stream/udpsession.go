// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

const (
	// pendingDatagrams is how many datagrams wait while a session is opened; more
	// are dropped, as a full socket buffer would.
	pendingDatagrams = 16
	// repeatable is the size up to which the latest datagram is kept until the
	// first answer, to be sent to another peer if this one has nobody listening.
	repeatable = 1500
	// readBurst is how many answers of one session are sent on before the others
	// have their turn.
	readBurst = 16
	// drainPatience is how long an answered client may be silent in a drain: UDP
	// has no other end.
	drainPatience = time.Second
)

// udpSession is all datagrams between a client and one of our addresses, and
// their upstream.
type udpSession struct {
	listener *udpListener
	key      udpKey
	life     *pipeline.Lifetime
	x        *pipeline.Session
	timer    *time.Timer // nil before the session is connected
	moved    atomic.Int64

	// plan, target and attempts are set by open and stay.
	plan     *plan
	target   *target
	attempts *attempts

	mu      sync.Mutex
	ended   bool
	opening bool     // open or reconnect is under way, and will see that it ended
	fd      int      // of the upstream, -1 for none
	pending [][]byte // while opening
	last    []byte   // the latest datagram, until the first answer
	// Datagrams and bytes of the client and of the upstream.
	requests, responses                          int
	received, toClient, fromUpstream, toUpstream int64
}

func newUDPSession(u *udpListener, key udpKey) *udpSession {
	s := &udpSession{listener: u, key: key, life: pipeline.NewLifetime(u.server.context), opening: true, fd: -1}
	s.x = pipeline.NewSession(s.life)
	s.x.UsedProtocol = entity.ProtocolUDP
	s.x.Times.Start = time.Now()
	f, peer := &s.x.ClientFacts, unmapped(key.client)
	f.Peer, f.IP, f.Port = peer, peer.Addr(), peer.Port()
	f.Local, f.ForwardedPort = key.local, u.server.settings.visiblePort(key.local.Port())
	f.Trusted = u.server.settings.trusted(peer.Addr())
	return s
}

// open finds the session's route, runs the preread phase and connects.
func (s *udpSession) open() {
	server := s.listener.server
	held := server.hold()
	route, service, ok := server.match(held, s.x, entity.ProtocolUDP)
	if ok {
		s.plan = held.planOf(route)
		s.plan.hold()
		s.target = server.prepare(held, s.x, s.plan, service)
	}
	if s.target != nil {
		s.attempts = server.attempts(s.x, s.target)
		s.connect()
	}
	held.release()
	s.opened()
}

// connect gives the session an upstream, if any peer can be had.
func (s *udpSession) connect() {
	for s.attempts.next(s.life.Context()) {
		fd, err := s.dial(s.attempts.peer.Addr)
		if err == nil {
			s.x.Times.Sent = time.Now()
			s.x.EndStatus = 0
			s.mu.Lock()
			s.fd = fd
			s.mu.Unlock()
			return
		}
		s.attempts.failed(err)
		if s.life.Context().Err() != nil {
			return
		}
	}
}

// dial opens a socket to a peer. Go's netpoller is not to watch it, so that
// what the dialer returns is left for a copy of its descriptor.
func (s *udpSession) dial(peer netip.AddrPort) (int, error) {
	nc, err := s.listener.server.options.Dialer.DialTimeout(s.life.Context(), "udp", peer.String(), s.target.connectTimeout)
	if err != nil {
		return -1, err
	}
	defer func() { _ = nc.Close() }()
	socket, ok := nc.(*net.UDPConn)
	if !ok {
		return -1, net.UnknownNetworkError("the dialer returned no UDP socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if failed := raw.Control(func(original uintptr) { fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) }); failed != nil {
		return -1, failed
	}
	return fd, err
}

// opened ends opening: what waited is sent, or the session is over.
func (s *udpSession) opened() {
	s.mu.Lock()
	s.opening = false
	over := s.ended || s.fd < 0
	if !over {
		if err := s.listener.server.poller.add(s.fd, s); err != nil {
			s.x.EndStatus, over = http.StatusInternalServerError, true
		}
	}
	if over {
		s.ended = true
		s.mu.Unlock()
		s.finish()
		return
	}
	s.moved.Store(time.Now().UnixNano())
	if s.timer == nil {
		s.timer = time.AfterFunc(s.target.readTimeout, s.idle)
	}
	waiting := s.pending
	s.pending = nil
	var refused error
	for _, data := range waiting {
		if err := s.send(data); err != nil {
			refused = err
		}
	}
	s.mu.Unlock()
	s.after(refused)
}

// fromClient takes a datagram of the client.
func (s *udpSession) fromClient(data []byte) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.requests++
	s.received += int64(len(data))
	full := s.requests == s.listener.server.settings.ProxyRequests
	var refused error
	switch {
	case !s.opening:
		s.moved.Store(time.Now().UnixNano())
		refused = s.send(data)
	case len(s.pending) < pendingDatagrams:
		s.pending = append(s.pending, append([]byte(nil), data...))
	}
	opening := s.opening
	s.mu.Unlock()
	if full {
		s.listener.sessions.detach(s)
	}
	if !opening {
		s.after(refused)
	}
}

// send passes a datagram on. The caller holds mu, and looks after an error
// without it.
func (s *udpSession) send(data []byte) error {
	if s.responses == 0 {
		s.last = nil
		if len(data) <= repeatable && len(s.attempts.tried) < s.target.retries {
			s.last = append(s.last, data...)
		}
	}
	for {
		n, err := unix.Write(s.fd, data)
		switch {
		case err == nil:
			s.toUpstream += int64(n)
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
			return err
		default:
			return nil // dropped: the socket's buffer is full, or the datagram too large
		}
	}
}

// after looks at what a datagram left: an upstream where nobody listens, or a
// session that is complete.
func (s *udpSession) after(refused error) {
	if refused != nil {
		s.refused(refused)
		return
	}
	if s.complete() {
		s.end()
	}
}

// complete reports whether all answers are there, where their number is known.
func (s *udpSession) complete() bool {
	settings := s.listener.server.settings
	s.mu.Lock()
	defer s.mu.Unlock()
	return settings.ProxyResponses >= 0 && !s.opening && s.responses >= settings.ProxyResponses*s.requests &&
		(settings.ProxyRequests == 0 || s.requests >= settings.ProxyRequests)
}

// refused tries another peer if none of this one's answers came yet.
func (s *udpSession) refused(err error) {
	s.mu.Lock()
	if s.ended || s.opening {
		s.mu.Unlock()
		return
	}
	if s.responses > 0 {
		s.mu.Unlock()
		s.end()
		return
	}
	s.listener.server.poller.remove(s.fd)
	s.fd, s.opening = -1, true
	if s.last != nil {
		s.pending = [][]byte{s.last}
	}
	s.mu.Unlock()
	s.listener.server.serving.Go(func() {
		s.attempts.failed(err)
		s.connect()
		s.opened()
	})
}

// readable passes the upstream's datagrams on. Only the poller calls it.
func (s *udpSession) readable(buf, oob []byte) {
	for range readBurst {
		s.mu.Lock()
		if s.fd < 0 {
			s.mu.Unlock()
			return
		}
		n, err := unix.Read(s.fd, buf)
		if err != nil {
			s.mu.Unlock()
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
				s.refused(err)
			}
			return
		}
		first := s.responses == 0
		s.responses++
		s.fromUpstream += int64(n)
		s.toClient += int64(n)
		s.last = nil
		s.mu.Unlock()
		s.moved.Store(time.Now().UnixNano())
		if first {
			s.listener.sessions.answered(s)
		}
		s.listener.reply(s.key, buf[:n], oob)
		if s.complete() {
			s.end()
			return
		}
	}
}

// idle ends the session if nothing moved for too long.
func (s *udpSession) idle() {
	s.mu.Lock() // the timer may strike before it is known
	left := time.Until(time.Unix(0, s.moved.Load()).Add(s.patience()))
	if left > 0 && !s.ended {
		s.timer.Reset(left)
	}
	s.mu.Unlock()
	if left <= 0 {
		s.end()
	}
}

// patience is how long nothing may move: the service's read_timeout, and while
// the server drains hardly any time for a client that has its answers. The
// caller holds mu.
func (s *udpSession) patience() time.Duration {
	if s.listener.draining.Load() && s.responses >= s.requests {
		return min(s.target.readTimeout, drainPatience)
	}
	return s.target.readTimeout
}

// hurry has the session look again at how long nothing may move.
func (s *udpSession) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && !s.ended {
		s.timer.Reset(0)
	}
}

// end ends the session. It may be called by any goroutine, and more than once.
func (s *udpSession) end() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	opening := s.opening
	s.mu.Unlock()
	s.life.Cancel()
	if !opening { // else who opens it sees that it ended
		s.finish()
	}
}

// finish gives back what the session holds and runs the log phase. It is
// called once, after ended was set.
func (s *udpSession) finish() {
	server := s.listener.server
	s.mu.Lock()
	if s.fd >= 0 {
		server.poller.remove(s.fd)
		s.fd = -1
		if s.x.EndStatus == 0 {
			s.x.EndStatus = http.StatusOK
		}
		server.balancerDone(s)
	}
	s.pending, s.last = nil, nil
	if s.timer != nil {
		s.timer.Stop()
	}
	s.x.FromClient, s.x.ToClient, s.x.FromUpstream, s.x.ToUpstream = s.received, s.toClient, s.fromUpstream, s.toUpstream
	s.mu.Unlock()
	if s.target != nil {
		s.target.close()
	}
	s.x.Times.End = time.Now()
	server.stats.end(UDP, s.x.EndStatus, s.x.FromClient, s.x.ToClient)
	if s.plan != nil {
		// Before the session is gone: a drain that no longer sees it waits for
		// its log.
		server.serving.Add(1)
	}
	s.listener.sessions.remove(s)
	s.life.End()
	if s.plan == nil {
		return
	}
	// Not here: the caller may be the poller, whom no plugin is to hold up.
	go func() {
		defer server.serving.Done()
		server.fault(s.x.Log(s.plan.StreamPlan), s.x)
		s.plan.release(server)
	}()
}

// balancerDone tells the balancer how the session ended.
func (s *Server) balancerDone(u *udpSession) {
	a := u.attempts
	took := time.Duration(0)
	if u.responses > 0 {
		took = time.Since(u.x.Times.Sent)
	}
	a.target.balancer.Done(a.peer, took)
	a.target.balancer.ReportStatus(a.peer, u.x.EndStatus)
}
