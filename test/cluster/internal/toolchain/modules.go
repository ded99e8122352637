// SPDX-License-Identifier: Apache-2.0

// Package toolchain builds the real Kubernetes, etcd, containerd, CoreDNS and
// Istio binaries from their Go modules into a cache that all checkouts share.
package toolchain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
)

// Binary is one program of a tools module.
type Binary struct {
	// Name of the file, as the cluster uses it.
	Name string
	// Package is the import path of its main.
	Package string
}

// Module is one of the Go modules below test/cluster/tools.
type Module struct {
	// Name is the folder below test/cluster/tools.
	Name     string
	Binaries []Binary
	// Tags and LDFlags are passed to `go build`.
	Tags    string
	LDFlags string
	// ColdMinutes is how long it takes on two cores with empty caches; shown to
	// the user as an estimate only.
	ColdMinutes float64
}

// Modules lists everything the cluster needs, in the order of building.
func Modules() []Module {
	return []Module{
		{
			Name: "kubernetes", ColdMinutes: 7.5,
			LDFlags: "-s -w -X k8s.io/component-base/version.gitVersion=" + layout.KubernetesVersion +
				" -X k8s.io/client-go/pkg/version.gitVersion=" + layout.KubernetesVersion,
			Binaries: commands("k8s.io/kubernetes/cmd/",
				"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
		},
		{
			Name: "etcd", ColdMinutes: 0.7, LDFlags: "-s -w",
			Binaries: []Binary{{Name: "etcd", Package: "go.etcd.io/etcd/server/v3"}},
		},
		{
			Name: "containerd", ColdMinutes: 1, LDFlags: "-s -w",
			Tags:     "no_btrfs no_aufs no_devmapper no_zfs",
			Binaries: commands("github.com/containerd/containerd/v2/cmd/", "containerd", "containerd-shim-runc-v2", "ctr"),
		},
		{
			Name: "coredns", ColdMinutes: 3, LDFlags: "-s -w",
			Binaries: []Binary{{Name: "coredns", Package: "github.com/coredns/coredns"}},
		},
		{
			Name: "istio", ColdMinutes: 7,
			LDFlags: "-s -w -X istio.io/istio/pkg/version.buildVersion=" + layout.IstioVersion,
			Binaries: []Binary{
				{Name: "pilot-discovery", Package: "istio.io/istio/pilot/cmd/pilot-discovery"},
				{Name: "pilot-agent", Package: "istio.io/istio/pilot/cmd/pilot-agent"},
				{Name: "istioctl", Package: "istio.io/istio/istioctl/cmd/istioctl"},
			},
		},
	}
}

func commands(prefix string, names ...string) []Binary {
	binaries := make([]Binary, len(names))
	for i, name := range names {
		binaries[i] = Binary{Name: name, Package: prefix + name}
	}
	return binaries
}

// Select keeps the modules and binaries that are named; nil or empty names keep
// everything. An unknown name is an error that lists the known ones.
func Select(modules []Module, names []string) ([]Module, error) {
	if len(names) == 0 {
		return modules, nil
	}
	var selected []Module
	found := map[string]bool{}
	var known []string
	for _, module := range modules {
		var kept []Binary
		for _, binary := range module.Binaries {
			known = append(known, binary.Name)
			if slices.Contains(names, binary.Name) {
				kept = append(kept, binary)
				found[binary.Name] = true
			}
		}
		if len(kept) > 0 {
			module.Binaries = kept
			selected = append(selected, module)
		}
	}
	for _, name := range names {
		if !found[name] {
			return nil, fmt.Errorf("--only: no tool is called %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	return selected, nil
}
