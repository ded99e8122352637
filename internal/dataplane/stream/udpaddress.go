// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// destinationSpace is room for the control messages that are asked for, of both
// families: a socket for IPv6 may receive IPv4, too.
const destinationSpace = 128

// wantDestination has the kernel say of each datagram which of our addresses it
// was sent to.
func wantDestination(conn *net.UDPConn) (err error) {
	raw, failed := conn.SyscallConn()
	if failed != nil {
		return failed
	}
	v6 := conn.LocalAddr().(*net.UDPAddr).IP.To4() == nil
	failed = raw.Control(func(fd uintptr) {
		if v6 {
			if err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1); err != nil {
				return
			}
			// Fails where the socket takes no IPv4.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
			return
		}
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	})
	if failed != nil {
		return failed
	}
	return err
}

// Layout of struct cmsghdr and of in_pktinfo and in6_pktinfo (ip(7), ipv6(7)).
const (
	headSize      = unix.SizeofCmsghdr
	pktinfo4      = 12 // interface, our address, destination
	pktinfo4Local = 4
	pktinfo4Dest  = 8
	pktinfo6      = 20 // destination, interface
)

var native = binary.NativeEndian

// destinationOf finds the address that a datagram was sent to.
func destinationOf(oob []byte) (netip.Addr, bool) {
	for len(oob) >= headSize {
		var size uint64
		if unix.SizeofPtr == 8 {
			size = native.Uint64(oob)
		} else {
			size = uint64(native.Uint32(oob))
		}
		level, kind := native.Uint32(oob[headSize-8:]), native.Uint32(oob[headSize-4:])
		if size < headSize || size > uint64(len(oob)) {
			break
		}
		data := oob[headSize:size]
		switch {
		case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= pktinfo4:
			return netip.AddrFrom4([4]byte(data[pktinfo4Dest:])), true
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= pktinfo6:
			return netip.AddrFrom16([16]byte(data)).Unmap(), true
		}
		oob = oob[min(len(oob), unix.CmsgSpace(len(data))):]
	}
	return netip.Addr{}, false
}

// appendSource appends the control message that has a datagram leave from an
// address.
func appendSource(dst []byte, from netip.Addr) []byte {
	size, level, kind := pktinfo4, uint32(unix.IPPROTO_IP), uint32(unix.IP_PKTINFO)
	if from.Is6() {
		size, level, kind = pktinfo6, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	}
	at := len(dst)
	for range unix.CmsgSpace(size) {
		dst = append(dst, 0)
	}
	head := dst[at:]
	if unix.SizeofPtr == 8 {
		native.PutUint64(head, uint64(unix.CmsgLen(size)))
	} else {
		native.PutUint32(head, uint32(unix.CmsgLen(size)))
	}
	native.PutUint32(head[headSize-8:], level)
	native.PutUint32(head[headSize-4:], kind)
	data := head[headSize:]
	if from.Is6() {
		a := from.As16()
		copy(data, a[:])
	} else {
		a := from.As4()
		copy(data[pktinfo4Local:], a[:])
	}
	return dst
}
