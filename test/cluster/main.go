// SPDX-License-Identifier: Apache-2.0

// Command cluster brings up a real Kubernetes cluster with Istio on one Linux
// machine, without Docker and without a container registry. Everything runs in
// namespaces of its own; the host sees only forwarders on 127.0.0.1.
package main

import (
	"os"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
