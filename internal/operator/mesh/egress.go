// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Backend is one Service port that the gateway dials: the backend of a route, or an endpoint that a plugin names.
type Backend struct {
	Namespace, Service string
	// ClusterIPs are the Service's addresses; none for a headless one.
	ClusterIPs []string
	// Port is the Service's port, not the container's.
	Port int32
	// L4 asks for a listener that does not look into the bytes: for protocols in which the server speaks first, which
	// protocol detection would hang on.
	L4 bool
}

// EgressScope is what the gateway's Sidecar object must say.
type EgressScope struct {
	// Entries are one per backend port, sorted by port.
	Entries []EgressEntry
	// CatchAll are exact hosts that need no listener of their own, as namespace/host.
	CatchAll []string
	// Hashes tells, for each address ("ip:port"), the content hash of what its listener depends on. A connection that
	// was opened under another hash goes on using the old listener and must not be reused.
	Hashes map[string]string
}

// EgressEntry is one egress listener: all backends with the same Service port.
type EgressEntry struct {
	Port  int32
	L4    bool
	Hosts []string // namespace/host, sorted
}

// Scope computes the egress scope.
//
// Each backend port gets an entry of its own with no protocol, so that Istio binds a listener to every ClusterIP and
// takes any Host header there; the backend's VirtualServices, DestinationRules and mTLS still apply. The catch-all
// names exact hosts only, and none that has an entry: an HTTP Service in both would keep the shared 0.0.0.0 listener of
// its port alive, and connections made through it would never reach the right cluster.
func Scope(backends []Backend, istiod types.NamespacedName, clusterDomain string) EgressScope {
	if clusterDomain == "" {
		clusterDomain = "cluster.local"
	}
	hosts, l4 := map[int32]map[string]bool{}, map[int32]bool{}
	for _, b := range backends {
		if hosts[b.Port] == nil {
			hosts[b.Port] = map[string]bool{}
		}
		hosts[b.Port][egressHost(b.Namespace, b.Service, clusterDomain)] = true
		l4[b.Port] = l4[b.Port] || b.L4
	}
	s := EgressScope{Hashes: map[string]string{}}
	covered := map[string]bool{}
	for port, set := range hosts {
		e := EgressEntry{Port: port, L4: l4[port]}
		for h := range set {
			covered[h] = true
			e.Hosts = append(e.Hosts, h)
		}
		slices.Sort(e.Hosts)
		s.Entries = append(s.Entries, e)
	}
	slices.SortFunc(s.Entries, func(a, b EgressEntry) int { return int(a.Port) - int(b.Port) })
	for _, b := range backends {
		s.cover(b, l4[b.Port], clusterDomain)
	}
	if istiod.Name != "" {
		if h := egressHost(istiod.Namespace, istiod.Name, clusterDomain); !covered[h] {
			s.CatchAll = append(s.CatchAll, h)
		}
	}
	return s
}

// cover records the hash of each address of a backend. It covers what the listener <ip>_<port> is made from: another
// Service joining the same port does not change it, so connections to this one live on.
func (s *EgressScope) cover(b Backend, l4 bool, clusterDomain string) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%t\x00%s", b.Port, l4, egressHost(b.Namespace, b.Service, clusterDomain)))
	hash := hex.EncodeToString(sum[:8])
	for _, ip := range b.ClusterIPs {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			continue
		}
		s.Hashes[netip.AddrPortFrom(addr, uint16(b.Port)).String()] = hash //nolint:gosec // a Service port is 1..65535
	}
}

// Covered returns, of the backends' addresses, those that a Sidecar object in force has an egress entry for, with the
// hash of that entry: what a gateway whose objects are frozen can reach. Nil stands for no object, which covers nothing.
func Covered(backends []Backend, sidecar map[string]any, clusterDomain string) map[string]string {
	if clusterDomain == "" {
		clusterDomain = "cluster.local"
	}
	l4, covered := map[int32]bool{}, map[string]bool{}
	listeners, _, _ := unstructured.NestedSlice(sidecar, "spec", "egress")
	for _, l := range listeners {
		entry, ok := l.(map[string]any)
		if !ok {
			continue
		}
		number, found, _ := unstructured.NestedInt64(entry, "port", "number")
		if !found || number < 1 || number > 65535 {
			continue
		}
		port := int32(number)
		protocol, _, _ := unstructured.NestedString(entry, "port", "protocol")
		l4[port] = protocol != ""
		hosts, _, _ := unstructured.NestedStringSlice(entry, "hosts")
		for _, h := range hosts {
			covered[fmt.Sprintf("%d %s", port, h)] = true
		}
	}
	s := EgressScope{Hashes: map[string]string{}}
	for _, b := range backends {
		if covered[fmt.Sprintf("%d %s", b.Port, egressHost(b.Namespace, b.Service, clusterDomain))] {
			s.cover(b, l4[b.Port], clusterDomain)
		}
	}
	return s.Hashes
}

func egressHost(namespace, service, clusterDomain string) string {
	return fmt.Sprintf("%s/%s.%s.svc.%s", namespace, service, namespace, strings.TrimSuffix(clusterDomain, "."))
}
