// SPDX-License-Identifier: Apache-2.0

package nodeconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeproxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/debian"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
)

// Files renders every configuration file, by path.
func Files(c layout.Cluster) (map[string][]byte, error) {
	kubelet, err := yaml.Marshal(kubeletConfig(c))
	if err != nil {
		return nil, err
	}
	proxy, err := yaml.Marshal(proxyConfig(c))
	if err != nil {
		return nil, err
	}
	network, err := networkConfig()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		kubeletFile(c):    kubelet,
		proxyFile(c):      proxy,
		containerdFile(c): containerdConfig(c),
		filepath.Join(networkDir(c), "10-node.conflist"): network,
	}, nil
}

func kubeletFile(c layout.Cluster) string    { return filepath.Join(c.ConfigDir(), "kubelet.yaml") }
func proxyFile(c layout.Cluster) string      { return filepath.Join(c.ConfigDir(), "kube-proxy.yaml") }
func containerdFile(c layout.Cluster) string { return filepath.Join(c.ConfigDir(), "containerd.toml") }
func networkDir(c layout.Cluster) string     { return filepath.Join(c.ConfigDir(), "cni") }

func kubeconfigFile(c layout.Cluster, user string) string {
	return filepath.Join(c.PKIDir(), user+".conf")
}

func kubeletConfig(c layout.Cluster) *kubeletv1beta1.KubeletConfiguration {
	return &kubeletv1beta1.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: "kubelet.config.k8s.io/v1beta1", Kind: "KubeletConfiguration"},
		Authentication: kubeletv1beta1.KubeletAuthentication{
			Anonymous: kubeletv1beta1.KubeletAnonymousAuthentication{Enabled: new(false)},
			Webhook:   kubeletv1beta1.KubeletWebhookAuthentication{Enabled: new(true)},
			X509:      kubeletv1beta1.KubeletX509Authentication{ClientCAFile: pki.CertFile(c.PKIDir(), pki.CAName)},
		},
		Authorization: kubeletv1beta1.KubeletAuthorization{Mode: kubeletv1beta1.KubeletAuthorizationModeWebhook},
		// Pods of two clusters must not share a cgroup: a kubelet removes the
		// cgroups below its root that it does not know.
		CgroupRoot:               "/" + c.ID(),
		CgroupDriver:             "cgroupfs",
		FailCgroupV1:             new(false),
		EnforceNodeAllocatable:   []string{},
		ClusterDNS:               []string{layout.DNSAddress.String()},
		ClusterDomain:            "cluster.local",
		ContainerRuntimeEndpoint: "unix://" + node.ContainerdSocket,
		FailSwapOn:               new(false),
		// The developer's machine may be nearly full; only a real shortage counts.
		EvictionHard:                map[string]string{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		ImageGCHighThresholdPercent: new(int32(100)),
		// Nothing could be pulled again, so unused images stay.
		ImageMinimumGCAge: metav1.Duration{Duration: 10000 * time.Hour},
		ResolverConfig:    new("/dev/null"),
		TLSCertFile:       pki.CertFile(c.PKIDir(), kubeletServer),
		TLSPrivateKeyFile: pki.KeyFile(c.PKIDir(), kubeletServer),
	}
}

func proxyConfig(c layout.Cluster) *kubeproxyv1alpha1.KubeProxyConfiguration {
	config := &kubeproxyv1alpha1.KubeProxyConfiguration{
		TypeMeta:         metav1.TypeMeta{APIVersion: "kubeproxy.config.k8s.io/v1alpha1", Kind: "KubeProxyConfiguration"},
		Mode:             "nftables",
		ClusterCIDR:      layout.ClusterNetwork.String(),
		HostnameOverride: layout.NodeName,
		// The limits belong to the host's own network namespace.
		Conntrack: kubeproxyv1alpha1.KubeProxyConntrackConfiguration{MaxPerCore: new(int32(0)), Min: new(int32(0))},
	}
	// A Service works almost as soon as its Pods are ready; the default is meant
	// for clusters with thousands of Services.
	config.NFTables.MinSyncPeriod = metav1.Duration{Duration: 100 * time.Millisecond}
	config.ClientConnection.Kubeconfig = kubeconfigFile(c, "kube-proxy")
	return config
}

// networkConfig gives each Pod a wire of its own to the node, rather than a port
// on a bridge: then all traffic is routed and Services work without the
// br_netfilter module.
func networkConfig() ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       "node",
		"plugins": []object{
			{
				"type": "ptp",
				"ipam": object{
					"type":   "host-local",
					"ranges": [][]object{{{"subnet": layout.PodNetwork.String()}}},
					"routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
}

func containerdConfig(c layout.Cluster) []byte {
	// The score may not be lowered without CAP_SYS_RESOURCE, and every sandbox
	// would fail.
	return fmt.Appendf(nil, `version = 3

[grpc]
  address = %[1]q

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%[2]q]
    conf_dir = %[3]q

  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %[4]q
`, node.ContainerdSocket, debian.CNIDir, networkDir(c), layout.PauseImage)
}

// Write renders identities, kubeconfigs and files below the state directory.
// hostPort is where the API server's forwarder listens on the host.
func Write(c layout.Cluster, hostPort int, now time.Time) error {
	if err := pki.Ensure(c.PKIDir(), Identities(), now); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	ca, err := os.ReadFile(pki.CertFile(c.PKIDir(), pki.CAName))
	if err != nil {
		return err
	}
	for user := range users {
		if err := writeKubeconfig(c, kubeconfigFile(c, user), user, layout.APIServerPort, ca); err != nil {
			return err
		}
	}
	if err := writeKubeconfig(c, c.Kubeconfig(), AdminPair, hostPort, ca); err != nil {
		return err
	}
	files, err := Files(c)
	if err != nil {
		return err
	}
	for path, data := range files {
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), pki.WriteFile(path, data, 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}

func writeKubeconfig(c layout.Cluster, path, user string, port int, ca []byte) error {
	pair, err := pki.Read(c.PKIDir(), user)
	if err != nil {
		return err
	}
	server := "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	data, err := pki.Kubeconfig(ContextName(c), server, ca, pair)
	if err != nil {
		return err
	}
	return pki.WriteFile(path, data, 0o600)
}
