// SPDX-License-Identifier: Apache-2.0

package layout

// Versions of the real components. A test compares them with the go.mod files
// of the tools modules, so that they cannot drift apart.
const (
	KubernetesVersion = "v1.36.3"
	EtcdVersion       = "v3.6.8"
	ContainerdVersion = "v2.3.7"
	CoreDNSVersion    = "v1.14.2"
	IstioVersion      = "1.31.1"
	// IstioModule is the module version that IstioVersion is built from.
	IstioModule  = "v0.0.0-20260916195427-190ae921b848"
	EnvoyVersion = "1.40.0"
)

// Names of the images that the cluster itself uses. They are the names that the
// manifests ask for; nothing is pulled.
const (
	PauseImage   = "registry.k8s.io/pause:3.10"
	CoreDNSImage = "registry.k8s.io/coredns/coredns:" + CoreDNSVersion
	PilotImage   = "docker.io/istio/pilot:" + IstioVersion
	ProxyImage   = "docker.io/istio/proxyv2:" + IstioVersion
	EchoImage    = "docker.io/library/http-echo:latest"
	SinkImage    = "docker.io/library/http-sink:latest"
)
