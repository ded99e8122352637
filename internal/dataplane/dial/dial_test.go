// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/resolver"
)

// names is a Resolver with fixed answers.
type names map[string][]resolver.Record

func (n names) Lookup(_ context.Context, host string) ([]resolver.Record, time.Time, error) {
	if len(n[host]) == 0 {
		return nil, time.Time{}, &resolver.Error{Name: host, Err: resolver.ErrNotFound}
	}
	return n[host], time.Time{}, nil
}

func record(addr string, port int) resolver.Record {
	return resolver.Record{Addr: netip.MustParseAddr(addr), Port: uint16(port)}
}

// listen accepts and closes connections; it returns the port.
func listen(t *testing.T, address string) int {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// deadPort is a port that nobody listens on.
func deadPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

func TestDial(t *testing.T) {
	port := listen(t, "127.0.0.1:0")
	dead := deadPort(t)
	d := New(names{
		"one.test":  {record("127.0.0.1", 0)},
		"srv.test":  {record("127.0.0.1", port)},
		"half.test": {record("127.0.0.1", dead), record("127.0.0.1", port), record("127.0.0.1", dead)},
		"six.test":  {record("::1", 0)},
	}, 0)
	for address, want := range map[string]Kind{
		fmt.Sprintf("127.0.0.1:%d", port): 255,
		fmt.Sprintf("one.test:%d", port):  255,
		"srv.test:1":                      255,
		"half.test:1":                     255,
		fmt.Sprintf("127.0.0.1:%d", dead): Refused,
		fmt.Sprintf("one.test:%d", dead):  Refused,
		"none.test:80":                    Unresolved,
		"no-port":                         Other,
	} {
		for range 3 { // each address of a name is the first one in turn
			conn, err := d.DialContext(t.Context(), "tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != (want == 255) || err != nil && KindOf(err) != want {
				t.Errorf("%s: %v (kind %d)", address, err, KindOf(err))
			}
			if err != nil && !strings.Contains(err.Error(), address) {
				t.Errorf("%s: the error does not say where to: %v", address, err)
			}
		}
	}
	if _, err := d.DialContext(t.Context(), "tcp4", "six.test:80"); KindOf(err) != Unresolved {
		t.Errorf("tcp4 to an IPv6 name: %v", err)
	}
	var cause *Error
	_, err := d.DialContext(t.Context(), "tcp", "none.test:80")
	if !errors.As(err, &cause) || !errors.Is(err, resolver.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestNoDelay(t *testing.T) {
	d := New(names{}, 0)
	conn, err := d.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", listen(t, "127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY); v == 0 || err != nil {
			t.Errorf("TCP_NODELAY is %d, %v", v, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hanging returns an address whose connections are never accepted: the queue of
// the listener is full.
func hanging(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 16 {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the listener's queue does not fill")
	return ""
}

func TestTimeouts(t *testing.T) {
	address := hanging(t)
	d := New(names{}, 30*time.Millisecond)
	_, err := d.DialContext(t.Context(), "tcp", address)
	var ne net.Error
	if KindOf(err) != Timeout || !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("the dialer's time: %v", err)
	}
	if _, err := New(names{}, 0).DialTimeout(t.Context(), "tcp", address, 30*time.Millisecond); KindOf(err) != Timeout {
		t.Errorf("the call's time: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := New(names{}, 0).DialContext(ctx, "tcp", address); KindOf(err) != Timeout {
		t.Errorf("the context's time: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := New(names{}, 0).DialContext(gone, "tcp", address); KindOf(err) != Canceled {
		t.Errorf("a caller that left: %v", err)
	}
}

func TestPolicyIsCheckedAtConnectTime(t *testing.T) {
	port := listen(t, "127.0.0.1:0")
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := New(names{"rebind.test": {record("127.0.0.1", 0)}, "mapped.test": {record("::ffff:127.0.0.1", 0)}}, 0)
	try := func() map[string]error {
		out := map[string]error{}
		for _, a := range []string{"127.0.0.1", "rebind.test", "mapped.test", "[::ffff:127.0.0.1]", "0.0.0.0"} {
			address := fmt.Sprintf("%s:%d", a, port)
			conn, err := d.DialContext(t.Context(), "tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			out[a] = err
			if conn, err := d.DialContext(t.Context(), "udp", address); err == nil {
				_ = conn.Close()
			} else {
				out["udp "+a] = err
			}
		}
		conn, err := d.DialContext(t.Context(), "unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		out["unix"] = err
		return out
	}
	d.SetPolicy(NewPolicy(nil))
	refused := try()
	if len(refused) != 11 {
		t.Errorf("%d refusals", len(refused))
	}
	for what, err := range refused {
		if KindOf(err) != Forbidden || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	d.SetPolicy(nil)
	for what, err := range try() {
		if err != nil {
			t.Errorf("without a policy, %s: %v", what, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	p := NewPolicy([]netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("2001:db8::3")})
	for address, want := range map[string]string{
		"10.1.2.4:80":             "",
		"93.184.216.34:443":       "",
		"[2001:db8::4]:80":        "",
		"10.1.2.4:14999":          "",
		"10.1.2.4:15091":          "",
		"10.1.2.4:15000":          "service mesh",
		"10.1.2.4:15090":          "service mesh",
		"10.1.2.3:80":             "this pod",
		"[::ffff:10.1.2.3]:80":    "this pod",
		"[2001:db8::3]:80":        "this pod",
		"127.0.0.1:80":            "loopback",
		"127.9.9.9:80":            "loopback",
		"[::1]:80":                "loopback",
		"[::ffff:127.0.0.1]:80":   "loopback",
		"0.0.0.0:80":              "unspecified",
		"0.1.2.3:80":              "unspecified",
		"[::]:80":                 "unspecified",
		"169.254.169.254:80":      "link-local",
		"[fe80::1%eth0]:80":       "link-local",
		"[::ffff:169.254.0.1]:80": "link-local",
		"224.0.0.1:80":            "multicast",
		"[ff02::1]:80":            "multicast",
	} {
		err := p.Check(netip.MustParseAddrPort(address))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
	}
	var none *Policy
	if err := none.Check(netip.MustParseAddrPort("127.0.0.1:15000")); err != nil {
		t.Errorf("no policy: %v", err)
	}
}
