// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"fmt"
)

// maxSessions bounds the TLS sessions that are kept for resumption, of all
// upstreams together: a full handshake costs an upstream more than what is
// forgotten costs us.
const maxSessions = 1024

// peerSessions is one pool's part of the sessions of all pools: a session is
// resumed with the same address, server name and TLS settings only.
type peerSessions struct {
	all    tls.ClientSessionCache
	prefix string
}

func newPeerSessions(all tls.ClientSessionCache, key Key) *peerSessions {
	return &peerSessions{all: all, prefix: fmt.Sprintf("%s %s ", key.Address, key.TLSID)}
}

// Get implements tls.ClientSessionCache.
func (s *peerSessions) Get(name string) (*tls.ClientSessionState, bool) {
	return s.all.Get(s.prefix + name)
}

// Put implements tls.ClientSessionCache.
func (s *peerSessions) Put(name string, session *tls.ClientSessionState) {
	s.all.Put(s.prefix+name, session)
}
