// SPDX-License-Identifier: Apache-2.0

// Package ingress translates Ingresses, the Services they refer to and their
// TLS Secrets into Kong entities, with the names, paths and defaults of Kong's
// ingress controller. It is pure.
package ingress
