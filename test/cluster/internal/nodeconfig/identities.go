// SPDX-License-Identifier: Apache-2.0

// Package nodeconfig renders what the cluster's components are started with:
// identities, kubeconfigs, configuration files and command lines. It is pure,
// apart from writing the files it rendered.
package nodeconfig

import (
	"net"
	"net/netip"
	"strings"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
)

// Names of the key pairs below the PKI directory.
const (
	apiServerPair  = "apiserver"
	frontProxyPair = "front-proxy"
	kubeletClient  = "apiserver-kubelet-client"
	kubeletServer  = "kubelet-server"
	// AdminPair is the administrator's.
	AdminPair = "admin"
)

// frontProxyName is the only common name that may speak for others.
const frontProxyName = "front-proxy-client"

// users are the identities that get a kubeconfig for use inside the node.
var users = map[string]pki.Identity{
	AdminPair:            {CommonName: "kubernetes-admin", Organizations: []string{"system:masters"}, Client: true},
	"controller-manager": {CommonName: "system:kube-controller-manager", Client: true},
	"scheduler":          {CommonName: "system:kube-scheduler", Client: true},
	"kubelet":            {CommonName: "system:node:" + layout.NodeName, Organizations: []string{"system:nodes"}, Client: true},
	"kube-proxy":         {CommonName: "system:kube-proxy", Client: true},
}

// Identities lists every certificate of the cluster, by file name.
func Identities() map[string]pki.Identity {
	const domain = "cluster.local"
	identities := map[string]pki.Identity{
		apiServerPair: {
			CommonName: "kube-apiserver", Server: true,
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + domain},
			IPs:      ips(netip.MustParseAddr("127.0.0.1"), layout.APIServiceAddress, layout.NodeAddress()),
		},
		kubeletServer: {
			CommonName: "system:node:" + layout.NodeName, Organizations: []string{"system:nodes"}, Server: true,
			DNSNames: []string{layout.NodeName},
			IPs:      ips(netip.MustParseAddr("127.0.0.1"), layout.NodeAddress()),
		},
		frontProxyPair: {CommonName: frontProxyName, Client: true},
		kubeletClient:  {CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}, Client: true},
	}
	for name, identity := range users {
		identities[name] = identity
	}
	return identities
}

func ips(addresses ...netip.Addr) []net.IP {
	out := make([]net.IP, len(addresses))
	for i, address := range addresses {
		out[i] = address.AsSlice()
	}
	return out
}

// ContextName is the name of cluster, user and context in a kubeconfig.
func ContextName(c layout.Cluster) string {
	return strings.Join([]string{"kong-istio-gateway", c.Name}, "-")
}
