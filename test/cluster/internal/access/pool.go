// SPDX-License-Identifier: Apache-2.0

// Package access is the cluster's door: it gives addresses to LoadBalancer
// Services and forwards ports of the host to them and to the API server.
package access

import (
	"fmt"
	"net/netip"
)

// Service is what matters here about a Service of type LoadBalancer.
type Service struct {
	Namespace, Name string
	// Wanted is spec.loadBalancerIP, if it is an address.
	Wanted netip.Addr
	// Address is what its status holds; invalid if it holds none.
	Address netip.Addr
	Ports   []Port
}

// Port is one port of a Service.
type Port struct {
	Name     string `json:"name,omitempty"`
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
}

func (s Service) key() string { return s.Namespace + "/" + s.Name }

// assign decides the address of every service, by key. An address that a service
// already has stays, unless it lies outside the pool or an earlier service holds
// it too. services must be sorted by age. Services for which nothing is left are
// not in the result.
func assign(pool netip.Prefix, services []Service) map[string]netip.Addr {
	result := map[string]netip.Addr{}
	used := map[netip.Addr]bool{pool.Masked().Addr(): true}
	take := func(s Service, address netip.Addr) bool {
		if !pool.Contains(address) || used[address] {
			return false
		}
		used[address], result[s.key()] = true, address
		return true
	}
	for _, s := range services {
		take(s, s.Address)
	}
	for _, s := range services {
		if _, done := result[s.key()]; done || take(s, s.Wanted) {
			continue
		}
		for address := pool.Masked().Addr().Next(); pool.Contains(address); address = address.Next() {
			if take(s, address) {
				break
			}
		}
	}
	return result
}

// Forward is one port of the host that leads to a port of a Service.
type Forward struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Port      Port   `json:"port"`
	// HostPort listens on 127.0.0.1; zero if the protocol cannot be forwarded or
	// no port was left.
	HostPort int `json:"hostPort"`
}

func (f Forward) key() string {
	return fmt.Sprintf("%s/%s/%d/%s", f.Namespace, f.Name, f.Port.Port, f.Port.Protocol)
}

// plan decides the forwards for the services. Those in known, also of services
// that are gone, keep their ports, so that an address that a person noted stays
// right; when ports run out, those of services that are gone are given up.
func plan(first, last int, known []Forward, services []Service) []Forward {
	wanted := map[string]Forward{}
	var order []string
	for _, s := range services {
		for _, port := range s.Ports {
			f := Forward{Namespace: s.Namespace, Name: s.Name, Port: port}
			wanted[f.key()] = f
			order = append(order, f.key())
		}
	}
	held := map[int]string{}
	for _, f := range known {
		if f.HostPort >= first && f.HostPort <= last && held[f.HostPort] == "" {
			held[f.HostPort] = f.key()
		}
	}
	byKey := map[string]int{}
	for port, key := range held {
		byKey[key] = port
	}
	var out []Forward
	for _, key := range order {
		f := wanted[key]
		if f.Port.Protocol == "TCP" {
			f.HostPort = byKey[key]
			if f.HostPort == 0 {
				f.HostPort = free(first, last, held, wanted)
				held[f.HostPort] = key
			}
		}
		out = append(out, f)
	}
	for _, f := range known {
		if _, current := wanted[f.key()]; !current && held[f.HostPort] == f.key() {
			out = append(out, f)
		}
	}
	return out
}

// free finds a port that nobody holds, else one that is held in vain.
func free(first, last int, held map[int]string, wanted map[string]Forward) int {
	for port := first; port <= last; port++ {
		if held[port] == "" {
			return port
		}
	}
	for port := first; port <= last; port++ {
		if _, current := wanted[held[port]]; !current {
			return port
		}
	}
	return 0
}
