// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"net/netip"
	"slices"
)

// The states of a target's address in reports, as Kong names them.
const (
	StateOff       = "healthchecks_off"
	StateHealthy   = "healthy"
	StateUnhealthy = "unhealthy"
	StateDNSError  = "dns_error"
)

// TargetReport is one address of one target, or a target without any.
type TargetReport struct {
	// Target is host:port as configured, the port filled in.
	Target string
	// Address is where requests go; not valid with StateDNSError.
	Address netip.AddrPort
	Weight  int
	State   string
}

// Report returns what is known of every target, in the order of the targets.
// Names are not resolved for it.
func (b *Balancer) Report() []TargetReport {
	byTarget := map[string][]*Peer{}
	for _, p := range b.set.Load().peers {
		same := func(other *Peer) bool { return other.Addr == p.Addr }
		if !slices.ContainsFunc(byTarget[p.Target], same) {
			byTarget[p.Target] = append(byTarget[p.Target], p)
		}
	}
	var out []TargetReport
	for _, t := range b.targets {
		name := t.String()
		peers := byTarget[name]
		delete(byTarget, name) // a target that is configured twice is reported once
		if len(peers) == 0 && !slices.ContainsFunc(out, func(r TargetReport) bool { return r.Target == name }) {
			out = append(out, TargetReport{Target: name, Weight: t.weight, State: StateDNSError})
		}
		for _, p := range peers {
			out = append(out, TargetReport{Target: name, Address: p.Addr, Weight: p.Weight, State: p.reportState()})
		}
	}
	return out
}

func (p *Peer) reportState() string {
	switch {
	case !p.checked:
		return StateOff
	case p.Health().Available():
		return StateHealthy
	}
	return StateUnhealthy
}
