// SPDX-License-Identifier: Apache-2.0

// Package balancer chooses the peer of an upstream that a request goes to, with
// Kong's algorithms and Kong's passive health checks.
//
// A Balancer belongs to one version of an upstream's configuration. What is
// known about an address (health, failures, open requests, latency) belongs to
// the Store, which lives as long as the process, so that a configuration change
// forgets nothing. Picking takes no lock.
package balancer
