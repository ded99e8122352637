// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/nodeconfig"
)

func commands() []command {
	return []command{
		{name: "packages", args: "[--check]", help: "install the Debian packages that are missing", run: runPackages},
		{name: "build", args: "[--only a,b] [--print-assets]", help: "build the heavy tools into the cache", run: runBuild},
		{name: "up", args: "[--outbound-traffic-policy P] [--without-istio]", help: "bring the cluster up, or repair it", run: runUp},
		{name: "down", help: "remove the cluster and everything that belongs to it", run: runDown},
		{name: "status", args: "[--json]", help: "tell how the cluster is and how to reach it", run: runStatus},
		{name: "kubeconfig", args: "[--raw]", help: "print the path of the kubeconfig", run: runKubeconfig},
		{name: "kubectl", args: "ARGS...", help: "run kubectl against the cluster", raw: true, run: runKubectl},
		{name: "image", args: "build --ref REF SRC:DST...", help: "make an image from files, without a registry", run: runImage},
		{name: "load-image", args: "TAR...", help: "import images into the cluster", run: runLoadImage},
		{name: "client", args: "[--source IP] -- CMD...", help: "run a command outside the node, where clients are", run: runClient},
		{name: "node", args: "-- CMD...", help: "run a command inside the node", run: runNode},
		{name: "forward", args: "ADDRESS:PORT", help: "forward a port of the host to an address inside", run: runForward},
		{name: "istio", args: "--outbound-traffic-policy P", help: "switch Istio's outbound traffic policy", run: runIstio},
		{name: "logs", args: "[COMPONENT] [-f] [--tail N]", help: "print a component's log", run: runLogs},

		{name: node.InitCommand, hidden: true, raw: true, run: runInit},
		{name: node.EnterCommand, hidden: true, raw: true, run: runEnter},
		{name: node.ClientCommand, hidden: true, raw: true, run: runInClient},
		{name: nodeconfig.AccessCommand, hidden: true, raw: true, run: runAccess},
	}
}
