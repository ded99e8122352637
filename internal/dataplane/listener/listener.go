// SPDX-License-Identifier: Apache-2.0

// Package listener reads Kong's settings proxy_listen and stream_listen and opens
// the sockets that they describe.
package listener

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Spec is one entry of a listen setting. It is comparable.
type Spec struct {
	Address netip.AddrPort
	// TLS says that connections begin with a TLS handshake.
	TLS bool
	// HTTP2 offers HTTP/2 to TLS clients.
	HTTP2 bool
	// UDP says that datagrams are received rather than connections.
	UDP bool
	// ProxyProtocol says that each connection begins with a PROXY header.
	ProxyProtocol bool
	// Mesh marks a listener whose connections come from the pod's sidecar. It is
	// not Kong's.
	Mesh bool
	// ReusePort lets other processes listen on the same address.
	ReusePort bool
	// IPv6Only keeps IPv4 away from an IPv6 address.
	IPv6Only bool
	// Backlog bounds the connections that wait to be accepted, 0 for the
	// system's bound.
	Backlog int
	// KeepAlive has the kernel probe silent clients.
	KeepAlive KeepAlive
}

// KeepAlive is nginx's so_keepalive; what is 0 is the system's default.
type KeepAlive struct {
	On       bool
	Idle     time.Duration // of silence before the first probe
	Interval time.Duration // between probes
	Count    int           // of probes that stay without answer
}

// Subsystem is one of nginx's subsystems, which take different flags.
type Subsystem uint8

// The subsystems.
const (
	HTTP   Subsystem = iota // proxy_listen
	Stream                  // stream_listen
)

// setting is the name of the subsystem's setting.
func (s Subsystem) setting() string { return [...]string{"proxy_listen", "stream_listen"}[s] }

// flags are what an error offers.
func (s Subsystem) flags() string {
	if s == HTTP {
		return "ssl, http2, proxy_protocol, reuseport, deferred, backlog=N or so_keepalive=on|off|IDLE:INTERVAL:COUNT"
	}
	return "ssl, udp, proxy_protocol, reuseport, backlog=N or so_keepalive=on|off|IDLE:INTERVAL:COUNT"
}

// Parse reads a listen setting: a comma-separated list of "address:port
// flag…", or "off" for none. The error names the setting and the entry.
func Parse(subsystem Subsystem, v string) ([]Spec, error) {
	v = strings.TrimSpace(v)
	if v == "" || v == "off" {
		return nil, nil
	}
	var specs []Spec
	for entry := range strings.SplitSeq(v, ",") {
		fields := strings.Fields(entry)
		if len(fields) == 0 {
			return nil, fmt.Errorf("%s %q: empty entry between commas", subsystem.setting(), v)
		}
		spec, err := parseEntry(subsystem, fields)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", subsystem.setting(), strings.TrimSpace(entry), err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

func parseEntry(subsystem Subsystem, fields []string) (Spec, error) {
	address, err := netip.ParseAddrPort(strings.Replace(fields[0], "*", "0.0.0.0", 1))
	if err != nil {
		return Spec{}, fmt.Errorf("address must be IP:PORT: %w", err)
	}
	spec := Spec{Address: address}
	tcpOnly := ""
	for _, flag := range fields[1:] {
		name, value, valued := strings.Cut(flag, "=")
		var known bool
		if valued {
			known, err = spec.setValue(name, value)
		} else {
			known = spec.setFlag(subsystem, name)
		}
		if err != nil {
			return Spec{}, err
		}
		if !known {
			return Spec{}, fmt.Errorf("flag %q is not supported; use %s", flag, subsystem.flags())
		}
		if name == "ssl" || name == "proxy_protocol" || name == "backlog" || name == "so_keepalive" {
			tcpOnly = name
		}
	}
	if spec.UDP && tcpOnly != "" {
		return Spec{}, fmt.Errorf("%s is for connections, and udp has none", tcpOnly)
	}
	return spec, nil
}

// setFlag sets a flag without a value, if the subsystem has it.
func (s *Spec) setFlag(subsystem Subsystem, name string) (known bool) {
	switch name {
	case "ssl":
		s.TLS = true
	case "proxy_protocol":
		s.ProxyProtocol = true
	case "reuseport":
		s.ReusePort = true
	case "mesh":
		s.Mesh = true
	case "bind":
		// Each entry has a socket of its own.
	case "udp":
		s.UDP = true
		return subsystem == Stream
	case "http2":
		s.HTTP2 = true
		return subsystem == HTTP
	case "deferred":
		// To wait for the first bytes costs nothing in Go's netpoller.
		return subsystem == HTTP
	default:
		return false
	}
	return true
}

// setValue sets a flag with a value.
func (s *Spec) setValue(name, value string) (known bool, err error) {
	switch name {
	case "backlog":
		if s.Backlog, err = strconv.Atoi(value); err != nil || s.Backlog <= 0 {
			err = fmt.Errorf("backlog=%s is not a number of connections", value)
		}
	case "ipv6only":
		if value != "on" && value != "off" {
			err = fmt.Errorf("ipv6only=%s is neither on nor off", value)
		}
		s.IPv6Only = value == "on"
	case "so_keepalive":
		s.KeepAlive, err = parseKeepAlive(value)
	default:
		return false, nil
	}
	return true, err
}

// parseKeepAlive reads on, off or IDLE:INTERVAL:COUNT, each of which may be
// empty.
func parseKeepAlive(v string) (k KeepAlive, err error) {
	switch v {
	case "on":
		return KeepAlive{On: true}, nil
	case "off":
		return KeepAlive{}, nil
	}
	wrong := fmt.Errorf("so_keepalive=%s is not on, off or IDLE:INTERVAL:COUNT such as 30m::10", v)
	parts := strings.Split(v, ":")
	if len(parts) != 3 || v == "::" {
		return k, wrong
	}
	k.On = true
	for i, into := range []*time.Duration{&k.Idle, &k.Interval} {
		if parts[i] == "" {
			continue
		}
		seconds, err := strconv.ParseUint(parts[i], 10, 31)
		*into = time.Duration(seconds) * time.Second
		if err != nil {
			if *into, err = time.ParseDuration(parts[i]); err != nil {
				return KeepAlive{}, wrong
			}
		}
		if *into < time.Second {
			return KeepAlive{}, wrong
		}
	}
	if parts[2] != "" {
		if k.Count, err = strconv.Atoi(parts[2]); err != nil || k.Count <= 0 {
			return KeepAlive{}, wrong
		}
	}
	return k, nil
}

// config is the keep-alive setting as package net takes it, in which negative
// numbers leave the system's default.
func (k KeepAlive) config() net.KeepAliveConfig {
	c := net.KeepAliveConfig{Enable: k.On, Idle: -1, Interval: -1, Count: -1}
	if k.Idle > 0 {
		c.Idle = k.Idle
	}
	if k.Interval > 0 {
		c.Interval = k.Interval
	}
	if k.Count > 0 {
		c.Count = k.Count
	}
	return c
}
