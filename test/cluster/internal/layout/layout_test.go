// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	tests := []struct {
		name, cluster, stateDir, wantDir, wantErr string
	}{
		{name: "default state directory", cluster: "kig", wantDir: "/src/.cluster/kig"},
		{name: "given state directory", cluster: "a-1", stateDir: "/var/tmp/x/../y", wantDir: "/var/tmp/y"},
		{name: "upper case", cluster: "Kig", wantErr: "lower-case"},
		{name: "path in the name", cluster: "../x", wantErr: "lower-case"},
		{name: "empty name", cluster: "", wantErr: "lower-case"},
		{name: "hidden by the node", cluster: "kig", stateDir: "/var/lib/kig", wantErr: "/var/lib"},
		{name: "hidden exactly", cluster: "kig", stateDir: "/run", wantErr: "/run"},
		{name: "only looks hidden", cluster: "kig", stateDir: "/runner/kig", wantDir: "/runner/kig"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(tt.cluster, tt.stateDir, "/src", "/cache")
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one that names %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.StateDir != tt.wantDir {
				t.Errorf("state directory %s, want %s", c.StateDir, tt.wantDir)
			}
		})
	}
}

func TestIDsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct{ name, repo string }{{"kig", "/a"}, {"kig", "/b"}, {"two", "/a"}} {
		plan, err := New(c.name, "", c.repo, "/cache")
		if err != nil {
			t.Fatal(err)
		}
		if seen[plan.ID()] {
			t.Errorf("ID %s appears twice", plan.ID())
		}
		seen[plan.ID()] = true
	}
}

func TestAddressesDoNotOverlap(t *testing.T) {
	prefixes := []netip.Prefix{NodeNetwork, UplinkNode, LoadBalancerPool, ClusterNetwork, ServiceNetwork}
	for i, a := range prefixes {
		for _, b := range prefixes[i+1:] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
	if UplinkNode.Masked() != UplinkClient.Masked() {
		t.Errorf("%s and %s are not one network", UplinkNode, UplinkClient)
	}
	if !ClusterNetwork.Overlaps(PodNetwork) || !ServiceNetwork.Contains(DNSAddress) || !ServiceNetwork.Contains(APIServiceAddress) {
		t.Error("an address lies outside its network")
	}
}

func TestChoosePortBlock(t *testing.T) {
	free := func(int) bool { return false }
	first, err := ChoosePortBlock("kig-a", free)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ChoosePortBlock("kig-a", free)
	if err != nil || again != first {
		t.Errorf("second choice %v, %v; want %v", again, err, first)
	}
	next, err := ChoosePortBlock("kig-a", func(port int) bool { return port == first.First+LoadBalancerPortOffset })
	if err != nil || next == first {
		t.Errorf("with a port taken: %v, %v; want another block than %v", next, err, first)
	}
	if _, err := ChoosePortBlock("kig-a", func(int) bool { return true }); err == nil {
		t.Error("no error although every port is taken")
	}
	low, high := first.LoadBalancer()
	if low <= first.APIServer() || high >= first.First+blockSize || high >= 32768 {
		t.Errorf("Service ports %d-%d do not fit block %d", low, high, first.First)
	}
}

func TestVersionsMatchModules(t *testing.T) {
	for module, want := range map[string]string{
		"kubernetes": "k8s.io/kubernetes " + KubernetesVersion,
		"etcd":       "go.etcd.io/etcd/server/v3 " + EtcdVersion,
		"containerd": "github.com/containerd/containerd/v2 " + ContainerdVersion,
		"coredns":    "github.com/coredns/coredns " + CoreDNSVersion,
		"istio":      "istio.io/istio " + IstioModule,
	} {
		data, err := os.ReadFile(filepath.Join("..", "..", "tools", module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), "require "+want+"\n") {
			t.Errorf("tools/%s/go.mod does not require %s", module, want)
		}
	}
}
