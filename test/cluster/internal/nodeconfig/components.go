// SPDX-License-Identifier: Apache-2.0

package nodeconfig

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
)

// Names of the components, which are also those of their logs.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Containerd        = "containerd"
	Kubelet           = "kubelet"
	KubeProxy         = "kube-proxy"
	// Access is this program, as forwarders and LoadBalancer address allocator.
	Access = "access"
)

// AccessCommand is the hidden subcommand that becomes the Access component.
const AccessCommand = "__access"

const etcdURL = "http://127.0.0.1:2379"

// Components lists every component, by name. tools are the paths of the built
// binaries; revision identifies this program's own content and firstPort is the
// first port of its forwarders.
func Components(c layout.Cluster, tools map[string]string, revision string, firstPort int) (map[string]node.Spec, error) {
	files, err := Files(c)
	if err != nil {
		return nil, err
	}
	pair := func(flagCert, flagKey, name string) []string {
		return []string{flagCert + "=" + pki.CertFile(c.PKIDir(), name), flagKey + "=" + pki.KeyFile(c.PKIDir(), name)}
	}
	ca := pki.CertFile(c.PKIDir(), pki.CAName)
	specs := []node.Spec{
		component(tools, Etcd,
			// Below /var/lib, which is the state directory's own.
			"--data-dir=/var/lib/etcd",
			"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
			"--listen-peer-urls=http://127.0.0.1:2380",
			// A cluster for tests may lose its data when the machine crashes.
			"--unsafe-no-fsync"),
		component(tools, APIServer, concat(
			[]string{
				"--etcd-servers=" + etcdURL,
				fmt.Sprintf("--secure-port=%d", layout.APIServerPort),
				"--bind-address=0.0.0.0",
				"--advertise-address=" + layout.NodeAddress().String(),
				"--service-cluster-ip-range=" + layout.ServiceNetwork.String(),
				"--allow-privileged",
				"--authorization-mode=Node,RBAC",
				"--client-ca-file=" + ca,
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-key-file=" + pki.CertFile(c.PKIDir(), pki.SigningName),
				"--service-account-signing-key-file=" + pki.KeyFile(c.PKIDir(), pki.SigningName),
				"--requestheader-client-ca-file=" + ca,
				// One authority signs for everybody, so the name decides.
				"--requestheader-allowed-names=" + frontProxyName,
				"--requestheader-username-headers=X-Remote-User",
				"--requestheader-group-headers=X-Remote-Group",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-",
				// Nobody resolves the node's name.
				"--kubelet-preferred-address-types=InternalIP",
			},
			pair("--tls-cert-file", "--tls-private-key-file", apiServerPair),
			pair("--kubelet-client-certificate", "--kubelet-client-key", kubeletClient),
			pair("--proxy-client-cert-file", "--proxy-client-key-file", frontProxyPair))...),
		component(tools, ControllerManager, concat(
			[]string{
				"--kubeconfig=" + kubeconfigFile(c, "controller-manager"),
				"--use-service-account-credentials",
				"--service-account-private-key-file=" + pki.KeyFile(c.PKIDir(), pki.SigningName),
				"--root-ca-file=" + ca,
				"--allocate-node-cidrs=true",
				"--cluster-cidr=" + layout.ClusterNetwork.String(),
				"--leader-elect=false",
			},
			pair("--cluster-signing-cert-file", "--cluster-signing-key-file", pki.CAName))...),
		component(tools, Scheduler,
			"--kubeconfig="+kubeconfigFile(c, "scheduler"),
			"--leader-elect=false"),
		withPath(reading(component(tools, Containerd, "--config="+containerdFile(c)), files[containerdFile(c)]), tools["containerd-shim-runc-v2"]),
		reading(component(tools, Kubelet,
			"--config="+kubeletFile(c),
			"--kubeconfig="+kubeconfigFile(c, "kubelet"),
			"--hostname-override="+layout.NodeName,
			"--node-ip="+layout.NodeAddress().String()), files[kubeletFile(c)]),
		reading(component(tools, KubeProxy, "--config="+proxyFile(c)), files[proxyFile(c)]),
		{
			Name:     Access,
			Args:     []string{c.Executable(), AccessCommand, kubeconfigFile(c, AdminPair), c.Forwards(), fmt.Sprint(firstPort)},
			Revision: revision,
			Outside:  true,
		},
	}
	byName := map[string]node.Spec{}
	for _, spec := range specs {
		byName[spec.Name] = spec
	}
	return byName, nil
}

func component(tools map[string]string, name string, args ...string) node.Spec {
	return node.Spec{Name: name, Args: append([]string{tools[name]}, args...)}
}

// reading makes a component start again when the content of its file has changed.
func reading(spec node.Spec, file []byte) node.Spec {
	spec.Revision = fmt.Sprintf("%x", sha256.Sum256(file))
	return spec
}

// withPath lets a component find a helper program that lies in the cache.
func withPath(spec node.Spec, helper string) node.Spec {
	spec.Env = append(spec.Env, "PATH="+filepath.Dir(helper)+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	return spec
}

func concat(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		out = append(out, list...)
	}
	return out
}
