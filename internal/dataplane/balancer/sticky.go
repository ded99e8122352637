// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// sessionOf is what the cookie of a client holds that is served by a peer. It
// is made of the peer's address and name, so that every gateway and every
// process makes the same of them. It does not show them, but is no secret: who
// knows the upstream's name can try addresses until one fits.
func sessionOf(p *Peer) string {
	sum := sha256.Sum256([]byte(p.key.upstream + "\x00" + p.Target + "\x00" + p.Addr.String()))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// sticky returns the peer that a client's cookie names, as long as it is a
// target and well. One of weight 0 keeps the clients it has and gets no others:
// it is being drained (Kong docs, "Sticky sessions").
func (s *peerSet) sticky(session string, tried []*Peer) *Peer {
	if p := s.sessions[session]; p != nil && p.well() && !slices.Contains(tried, p) {
		return p
	}
	return s.roundRobin(tried)
}

// SessionCookie returns the cookie that brings a client back to the peer that
// Pick returned, nil when it has it already: session is what the client sent,
// "" for nothing.
func SessionCookie(u *entity.Upstream, p *Peer, session string) *Cookie {
	if p.session == session {
		return nil
	}
	path := u.StickySessionsPath
	if path == "" {
		path = "/"
	}
	return &Cookie{Name: u.StickySessionsCookie, Value: p.session, Path: path}
}
