// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins what the local cluster builds from the istio module.
package tools

import (
	_ "istio.io/istio/istioctl/cmd/istioctl"
	_ "istio.io/istio/pilot/cmd/pilot-agent"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
