// SPDX-License-Identifier: Apache-2.0

// Package proxyproto reads the header with which a load balancer tells whom a
// connection comes from: the PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). It looks at
// bytes only; whether the sender is to be believed is the caller's decision.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
)

// MaxSize is how many bytes a header may have, as in nginx. The addresses need
// at most 232; the rest is for additional values, which are skipped.
const MaxSize = 4096

// maxSize1 bounds a header of version 1 with its line end (section 2.1).
const maxSize1 = 107

// ErrMore says that the bytes are the beginning of a header: read more.
var ErrMore = errors.New("proxyproto: the header is not complete")

// Header is what a PROXY header says.
type Header struct {
	// Source is the client's address and Destination the one that it connected
	// to. Both are invalid where the header names none: the connection is the
	// load balancer's own (a health check), or not of IP.
	Source, Destination netip.AddrPort
	// Size is the number of bytes of the header.
	Size int
}

var signature2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

var prefix1 = []byte("PROXY ")

// Parse reads the header at the beginning of b. The error is ErrMore when b is
// too short to tell; any other one is final.
func Parse(b []byte) (Header, error) {
	switch {
	case startsAs(b, signature2):
		return parse2(b)
	case startsAs(b, prefix1):
		return parse1(b)
	}
	return Header{}, errors.New("proxyproto: the connection does not start with a PROXY header")
}

// startsAs reports whether b and start agree as far as both go.
func startsAs(b, start []byte) bool {
	n := min(len(b), len(start))
	return bytes.Equal(b[:n], start[:n])
}

func parse1(b []byte) (Header, error) {
	line, _, complete := bytes.Cut(b[:min(len(b), maxSize1)], []byte("\r\n"))
	switch {
	case !complete && len(b) >= maxSize1:
		return Header{}, errors.New("proxyproto: the line of version 1 does not end")
	case !complete:
		return Header{}, ErrMore
	}
	h := Header{Size: len(line) + 2}
	fields := bytes.Split(line, []byte(" "))
	if len(fields) >= 2 && string(fields[1]) == "UNKNOWN" {
		return h, nil // what follows is to be ignored
	}
	if len(fields) != 6 {
		return Header{}, errors.New("proxyproto: version 1 needs protocol, two addresses and two ports")
	}
	family := string(fields[1])
	var ok [2]bool
	h.Source, ok[0] = address1(family, fields[2], fields[4])
	h.Destination, ok[1] = address1(family, fields[3], fields[5])
	if !ok[0] || !ok[1] {
		return Header{}, errors.New("proxyproto: version 1 with an address that is none of its protocol")
	}
	return h, nil
}

func address1(family string, ip, port []byte) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(string(ip))
	if err != nil || a.Zone() != "" || family != "TCP4" && family != "TCP6" || a.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != string(port) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}

// Version 2, section 2.2.
const (
	head2        = 16 // signature, version and command, family, length
	version2     = 0x2
	commandLocal = 0x0
	commandProxy = 0x1
	familyIPv4   = 0x1
	familyIPv6   = 0x2
	familyUnix   = 0x3
	lastProtocol = 0x2 // unspecified, stream, datagram
)

func parse2(b []byte) (Header, error) {
	if len(b) < head2 {
		return Header{}, ErrMore
	}
	version, command, family, protocol := b[12]>>4, b[12]&0xf, b[13]>>4, b[13]&0xf
	size := head2 + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case version != version2:
		return Header{}, errors.New("proxyproto: the version is neither 1 nor 2")
	case command != commandLocal && command != commandProxy:
		return Header{}, errors.New("proxyproto: the command is neither LOCAL nor PROXY")
	case family > familyUnix || protocol > lastProtocol:
		return Header{}, errors.New("proxyproto: unknown address family or protocol")
	case size > MaxSize:
		return Header{}, errors.New("proxyproto: the header is larger than 4096 bytes")
	case len(b) < size:
		return Header{}, ErrMore
	}
	h := Header{Size: size}
	if command == commandLocal || protocol == 0 {
		return h, nil
	}
	return addresses2(h, family, b[head2:size])
}

func addresses2(h Header, family byte, b []byte) (Header, error) {
	var n int
	switch family {
	case familyIPv4:
		n = 4
	case familyIPv6:
		n = 16
	default:
		return h, nil
	}
	if len(b) < 2*n+4 {
		return Header{}, errors.New("proxyproto: the header ends within the addresses")
	}
	source, _ := netip.AddrFromSlice(b[:n])
	destination, _ := netip.AddrFromSlice(b[n : 2*n])
	h.Source = netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(b[2*n:]))
	h.Destination = netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(b[2*n+2:]))
	return h, nil
}
