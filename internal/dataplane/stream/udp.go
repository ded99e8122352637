// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// maxDatagram is what UDP can carry.
const maxDatagram = 64 << 10

// udpListener receives the datagrams of one socket.
type udpListener struct {
	server *Server
	conn   *net.UDPConn
	// local is the address that the socket is bound to; when that is no certain
	// one, each datagram says where it went.
	local    netip.AddrPort
	wildcard bool
	sessions udpSessions
	draining atomic.Bool
}

func newUDPListener(s *Server, conn *net.UDPConn) (*udpListener, error) {
	u := &udpListener{server: s, conn: conn, local: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	u.sessions.limit = s.settings.WorkerConnections
	u.wildcard = u.local.Addr().IsUnspecified()
	u.local = unmapped(u.local)
	if !u.wildcard {
		return u, nil
	}
	return u, wantDestination(conn)
}

// receive hands each datagram to its session until the socket is closed.
func (u *udpListener) receive() {
	buf, oob := make([]byte, maxDatagram), make([]byte, destinationSpace)
	for {
		n, oobn, _, client, err := u.conn.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			u.server.log.Error("receive failed", "listener", u.local, "error", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-u.server.context.Done():
				return
			}
		}
		local := u.local
		if u.wildcard {
			addr, ok := destinationOf(oob[:oobn])
			if !ok {
				continue
			}
			local = netip.AddrPortFrom(addr.Unmap(), u.local.Port())
		}
		u.datagram(udpKey{client, local}, buf[:n])
	}
}

// datagram gives a datagram to its session, a new one if need be.
func (u *udpListener) datagram(key udpKey, data []byte) {
	if s := u.sessions.find(key); s != nil {
		s.fromClient(data)
		return
	}
	if u.draining.Load() {
		return
	}
	s := newUDPSession(u, key)
	oldest, ok := u.sessions.add(s)
	if oldest != nil {
		u.server.stats.refused[UDP].Add(1)
		oldest.end()
	}
	if !ok {
		u.server.stats.refused[UDP].Add(1)
		return
	}
	u.server.stats.begin(UDP)
	s.fromClient(data)
	u.server.serving.Go(s.open)
}

// reply sends a datagram to a session's client, from the address that it sent
// to.
func (u *udpListener) reply(key udpKey, data, oob []byte) {
	if u.wildcard {
		_, _, _ = u.conn.WriteMsgUDPAddrPort(data, appendSource(oob[:0], key.local.Addr()), key.client)
		return
	}
	_, _ = u.conn.WriteToUDPAddrPort(data, key.client)
}

// closeAll ends all sessions and closes the socket.
func (u *udpListener) closeAll() {
	for _, s := range u.sessions.close() {
		s.end()
	}
	_ = u.conn.Close()
}
