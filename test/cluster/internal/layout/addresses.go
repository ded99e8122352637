// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"fmt"
	"hash/fnv"
	"net/netip"
)

// Addresses inside the cluster's own namespaces. They are the same in every
// cluster: namespaces keep clusters apart, not numbers.
var (
	// NodeNetwork is the network of the node's bridge, which leads nowhere.
	NodeNetwork = netip.MustParsePrefix("10.200.0.1/24")
	// UplinkNode and UplinkClient are the two ends of the wire to the client
	// namespace, which stands for the world outside the node.
	UplinkNode   = netip.MustParsePrefix("10.201.0.1/24")
	UplinkClient = netip.MustParsePrefix("10.201.0.2/24")
	// LoadBalancerPool is where LoadBalancer Services get their addresses.
	LoadBalancerPool = netip.MustParsePrefix("10.202.0.0/24")
	// PodNetwork is the one node's share of ClusterNetwork.
	PodNetwork = netip.MustParsePrefix("10.244.0.0/24")
	// ClusterNetwork and ServiceNetwork are Kubernetes' own two ranges.
	ClusterNetwork = netip.MustParsePrefix("10.244.0.0/16")
	ServiceNetwork = netip.MustParsePrefix("10.96.0.0/16")
	// DNSAddress is the ClusterIP of CoreDNS.
	DNSAddress = netip.MustParseAddr("10.96.0.10")
	// APIServiceAddress is the ClusterIP of the Service `kubernetes`.
	APIServiceAddress = netip.MustParseAddr("10.96.0.1")
)

// APIServerPort is where the API server listens inside the node.
const APIServerPort = 6443

// NodeAddress is the node's own address.
func NodeAddress() netip.Addr { return NodeNetwork.Addr() }

// ClientAddress is the source address of what comes from outside the node.
func ClientAddress() netip.Addr { return UplinkClient.Addr() }

// Host ports are handed out in blocks below the kernel's ephemeral range, so
// that an outgoing connection never takes a forwarder's port.
const (
	firstHostPort = 20000
	blockSize     = 100
	blocks        = 100
	// LoadBalancerPortOffset is where the forwarders of Services begin in a block.
	LoadBalancerPortOffset = 10
)

// PortBlock is a run of host ports that belongs to one cluster.
type PortBlock struct {
	// First is the port of the API server's forwarder.
	First int `json:"first"`
}

// ChoosePortBlock picks a block for the cluster: always the same one for an ID,
// unless one of its ports is taken; then the next. taken reports whether a port
// on 127.0.0.1 is in use; it is asked for the API server's port of each
// candidate block and for the first Service ports.
func ChoosePortBlock(id string, taken func(port int) bool) (PortBlock, error) {
	h := fnv.New32a()
	h.Write([]byte(id))
	start := int(h.Sum32() % blocks)
	for i := range blocks {
		block := PortBlock{First: firstHostPort + (start+i)%blocks*blockSize}
		if !block.anyTaken(taken) {
			return block, nil
		}
	}
	return PortBlock{}, fmt.Errorf("no free block of %d ports between %d and %d on 127.0.0.1: end what listens there", blockSize, firstHostPort, firstHostPort+blocks*blockSize-1)
}

func (b PortBlock) anyTaken(taken func(int) bool) bool {
	for port := b.First; port < b.First+2*LoadBalancerPortOffset; port++ {
		if taken(port) {
			return true
		}
	}
	return false
}

// APIServer is the host port of the API server's forwarder.
func (b PortBlock) APIServer() int { return b.First }

// LoadBalancer returns the host ports that forwarders of Services may use.
func (b PortBlock) LoadBalancer() (first, last int) {
	return b.First + LoadBalancerPortOffset, b.First + blockSize - 1
}
