// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The states of a connection whose handshake is not over, as the kernel counts
// them (include/net/tcp_states.h): the second is what it is called before the
// client's last word.
const (
	stateSynRecv    = 3
	stateNewSynRecv = 12
)

// HalfOpen returns how many handshakes with a local TCP port are half-way: the
// client may count them as connections already. It asks sock_diag(7), and reads
// /proc where that is not allowed. The error says that neither answered.
func HalfOpen(port uint16) (int, error) {
	total := 0
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		n, err := diagHalfOpen(family, port)
		if err != nil {
			return procHalfOpen(port)
		}
		total += n
	}
	return total, nil
}

// handshakeLook is how often half-open connections are counted.
const handshakeLook = 10 * time.Millisecond

// AwaitHandshakes waits until no handshake with a listener is half-way, or ctx
// ends; all of them are in its queue then, if StopHandshakes was called before.
// Where nobody can tell it returns at once.
func AwaitHandshakes(ctx context.Context, l *net.TCPListener) {
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	tick := time.NewTicker(handshakeLook)
	defer tick.Stop()
	for {
		if n, err := HalfOpen(port); err != nil || n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// diagRequest is inet_diag_req_v2 of linux/inet_diag.h behind its header.
type diagRequest struct {
	header   unix.NlMsghdr
	family   uint8
	protocol uint8
	ext      uint8
	_        uint8
	states   uint32
	source   [2]byte // port, big-endian
	dest     [2]byte
	_        [32]byte // addresses
	device   uint32
	cookie   [2]uint32
}

// diagTimeout bounds the wait for the kernel's answer.
const diagTimeout = 200 * time.Millisecond

// diagHalfOpen asks for the half-open connections of one address family.
func diagHalfOpen(family uint8, port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	limit := unix.NsecToTimeval(diagTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return 0, err
	}
	request := diagRequest{
		header: unix.NlMsghdr{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP},
		family: family, protocol: unix.IPPROTO_TCP, states: 1<<stateSynRecv | 1<<stateNewSynRecv,
		cookie: [2]uint32{^uint32(0), ^uint32(0)},
	}
	request.header.Len = uint32(unsafe.Sizeof(request))
	binary.BigEndian.PutUint16(request.source[:], port)
	message := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	return countDiag(fd, port)
}

var errDiag = errors.New("sock_diag: refused")

// countDiag counts the connections in the answer to a request.
func countDiag(fd int, port uint16) (count int, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for rest := buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			size := binary.NativeEndian.Uint32(rest)
			if size < unix.NLMSG_HDRLEN || int(size) > len(rest) {
				return 0, errDiag
			}
			switch binary.NativeEndian.Uint16(rest[4:]) {
			case unix.NLMSG_DONE:
				return count, nil
			case unix.NLMSG_ERROR:
				return 0, errDiag
			case unix.SOCK_DIAG_BY_FAMILY:
				// inet_diag_msg: family, state, timer, retransmissions, source port.
				body := rest[unix.NLMSG_HDRLEN:size]
				if len(body) >= 6 && binary.BigEndian.Uint16(body[4:]) == port {
					count++
				}
			}
			rest = rest[min(len(rest), int(size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		}
	}
}

// procHalfOpen counts half-open connections in the tables of /proc/net.
func procHalfOpen(port uint16) (int, error) {
	total := 0
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(path)
		switch {
		case err == nil:
			total += countTable(table, port)
		case !errors.Is(err, os.ErrNotExist):
			return 0, fmt.Errorf("half-open connections: %w", err)
		}
	}
	return total, nil
}

// countTable counts the half-open connections to a port in a table of the form
// of /proc/net/tcp: number, local address, remote address, state.
func countTable(table []byte, port uint16) (count int) {
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) < 4 {
			continue
		}
		_, local, ok := bytes.Cut(fields[1], []byte(":"))
		at, err := strconv.ParseUint(string(local), 16, 16)
		state, stateErr := strconv.ParseUint(string(fields[3]), 16, 8)
		if ok && err == nil && stateErr == nil && uint16(at) == port && (state == stateSynRecv || state == stateNewSynRecv) {
			count++
		}
	}
	return count
}
