// SPDX-License-Identifier: Apache-2.0

package main

// version is set by the build.
var version = "0.1.0"

// product is the product token of Server and Via.
func product() string { return "kong-istio-gateway/" + version }
