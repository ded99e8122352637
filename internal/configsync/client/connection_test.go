// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync/client"
)

func TestRotationCutsNothing(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	p := w.run(w.proxy(nil))
	m.publish(t, snapshot(t, 1, 1, "a=/1"))
	m.programmed(t, 1)
	connected := m.Facts(edge).Proxies[0].Connected
	next := newAuthority(t)
	w.cert.Store(next.issue(t)) // it signs already: worse than what the manager does
	m.publish(t, snapshot(t, 1, 2, "a=/2"))
	eventually(t, "a change on the open stream", func() bool { return routes(p.last()) == "a=/2" })
	if f := m.Facts(edge); len(f.Proxies) != 1 || !f.Proxies[0].Connected.Equal(connected) {
		t.Fatal("the stream was cut")
	}
	// New connections need the new root, and see it once it is mounted.
	m.Forget(edge)
	eventually(t, "a refused handshake", func() bool { return strings.Contains(p.State().LastError, "certificate") })
	m.publish(t, snapshot(t, 1, 3, "a=/3"))
	w.write(filepath.Join(w.caDir, "ca.crt"), append(w.ca.pem(), next.pem()...))
	eventually(t, "the change behind the new root", func() bool { return routes(p.last()) == "a=/3" })
	// The old root still works beside it.
	w.cert.Store(w.ca.issue(t))
	m.Forget(edge)
	m.publish(t, snapshot(t, 1, 4, "a=/4"))
	eventually(t, "the change behind the old root", func() bool { return routes(p.last()) == "a=/4" })
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	m.publish(t, snapshot(t, 1, 1, "a=/secret"))
	other := w.run(w.proxy(func(c *client.Config) { c.Gateway.Name = "another" }))
	eventually(t, "a refusal", func() bool { return strings.Contains(other.State().LastError, "its token belongs to kong-istio/edge") })
	other.stop()
	w.write(w.token, []byte("stolen"))
	p := w.run(w.proxy(nil))
	eventually(t, "a refusal", func() bool { return strings.Contains(p.State().LastError, "the token is not valid") })
	if strings.Contains(p.State().LastError, "stolen") {
		t.Fatal("the error shows the token")
	}
	if p.count()+other.count() != 0 || p.State().Connected || m.Facts(edge).Connected != 0 {
		t.Fatal("a stranger was let in")
	}
	w.write(w.token, []byte("pod-1"))
	eventually(t, "the configuration", func() bool { return routes(p.last()) == "a=/secret" })
}

// TestBackoffBetweenRounds: a Service without a leader is not hammered.
func TestBackoffBetweenRounds(t *testing.T) {
	w := newWorld(t)
	p := w.run(w.proxy(func(c *client.Config) { c.Backoff = client.Backoff{Base: time.Hour, Max: time.Hour} }))
	eventually(t, "the first round", func() bool { return p.State().Failures == 1 })
	if s := p.State(); s.Connected || strings.Count(s.LastError, "connection refused") != 3 {
		t.Fatalf("%+v", s)
	}
}

// TestSamePodReplacesItsStream: a half-open stream does not count twice.
func TestSamePodReplacesItsStream(t *testing.T) {
	w := newWorld(t)
	m := w.lead("10.0.0.1")
	m.publish(t, snapshot(t, 1, 1, "a=/"))
	first := w.run(w.proxy(func(c *client.Config) { c.Backoff = client.Backoff{Base: time.Hour, Max: time.Hour} }))
	m.programmed(t, 1)
	w.run(w.proxy(func(c *client.Config) { c.Backoff = client.Backoff{Base: time.Hour, Max: time.Hour} }))
	eventually(t, "the end of the first", func() bool { return strings.Contains(first.State().LastError, "another stream") })
	m.programmed(t, 1)
	if f := m.Facts(edge); f.Connected != 1 {
		t.Fatalf("%d connected", f.Connected)
	}
}
