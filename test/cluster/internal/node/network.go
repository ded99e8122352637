// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
)

// Interface names inside the namespaces.
const (
	nodeLink   = "node0"
	uplinkLink = "uplink"
	clientLink = "eth0"
)

// sysctls of the node's network namespace.
var sysctls = map[string]string{
	"net/ipv4/ip_forward": "1",
	// Pods and the client may use addresses that the return path does not use.
	"net/ipv4/conf/all/rp_filter":     "0",
	"net/ipv4/conf/default/rp_filter": "0",
}

// prepareNetwork sets up the node's network in the current namespace and a
// client namespace wired to it. It returns the client's namespace, which stays
// as long as the file is open.
func prepareNetwork() (*os.File, error) {
	for name, value := range sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return nil, err
		}
	}
	if err := nodeInterface(); err != nil {
		return nil, err
	}
	clientNet, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("client namespace: %w", err)
	}
	if err := wire(clientNet); err != nil {
		return nil, fmt.Errorf("client namespace: %w", err)
	}
	return clientNet, nil
}

// nodeInterface makes the node's interface: a bridge without ports, since not
// every kernel has the dummy type. The default route leads to it, and so
// nowhere.
func nodeInterface() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: nodeLink}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge %s: %w", nodeLink, err)
	}
	for _, err := range []error{
		netlink.LinkSetUp(loopback),
		netlink.AddrAdd(bridge, &netlink.Addr{IPNet: ipNet(layout.NodeNetwork)}),
		netlink.LinkSetUp(bridge),
		netlink.RouteAdd(&netlink.Route{LinkIndex: bridge.Index, Dst: ipNet(netip.MustParsePrefix("0.0.0.0/0")), Src: layout.NodeAddress().AsSlice(), Scope: netlink.SCOPE_LINK}),
	} {
		if err != nil {
			return fmt.Errorf("interface %s: %w", nodeLink, err)
		}
	}
	return nil
}

// newNamespace makes a network namespace and returns a file that keeps it, as
// clientNetFD too.
func newNamespace() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result)
	go func() {
		// The thread is thrown away with the goroutine, because it is not unlocked.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		done <- result{file, err}
	}()
	r := <-done
	if r.err != nil {
		return nil, r.err
	}
	return r.file, unix.Dup3(int(r.file.Fd()), clientNetFD, unix.O_CLOEXEC)
}

// wire connects node and client by a pair of interfaces and routes everything
// of the client through the node.
func wire(clientNet *os.File) error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: uplinkLink},
		PeerName:  clientLink, PeerNamespace: netlink.NsFd(int(clientNet.Fd())),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth %s: %w", uplinkLink, err)
	}
	uplink, err := netlink.LinkByName(uplinkLink)
	if err != nil {
		return err
	}
	err = errors.Join(
		netlink.AddrAdd(uplink, &netlink.Addr{IPNet: ipNet(layout.UplinkNode)}),
		netlink.LinkSetUp(uplink))
	if err != nil {
		return err
	}
	client, err := netlink.NewHandleAt(netns.NsHandle(clientNet.Fd()))
	if err != nil {
		return err
	}
	defer client.Close()
	return clientSide(client)
}

func clientSide(client *netlink.Handle) error {
	loopback, err := client.LinkByName("lo")
	if err != nil {
		return err
	}
	link, err := client.LinkByName(clientLink)
	if err != nil {
		return err
	}
	for _, err := range []error{
		client.LinkSetUp(loopback),
		client.AddrAdd(link, &netlink.Addr{IPNet: ipNet(layout.UplinkClient)}),
		client.LinkSetUp(link),
		client.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: layout.UplinkNode.Addr().AsSlice()}),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// addClientAddress gives the client one more address and tells the node the way
// back. It may be repeated.
func addClientAddress(clientNet *os.File, address netip.Addr) error {
	if !address.Is4() {
		return fmt.Errorf("client address %s: only IPv4 is supported", address)
	}
	own := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(32, 32)}
	client, err := netlink.NewHandleAt(netns.NsHandle(clientNet.Fd()))
	if err != nil {
		return err
	}
	defer client.Close()
	link, err := client.LinkByName(clientLink)
	if err != nil {
		return err
	}
	if err := client.AddrAdd(link, &netlink.Addr{IPNet: own}); err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("client address %s: %w", address, err)
	}
	uplink, err := netlink.LinkByName(uplinkLink)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: uplink.Attrs().Index, Dst: own, Gw: layout.ClientAddress().AsSlice()}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route to client address %s: %w", address, err)
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}
