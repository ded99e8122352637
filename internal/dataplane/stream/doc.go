// SPDX-License-Identifier: Apache-2.0

// Package stream runs the gateway's L4 data path, Kong's stream routes: TCP,
// TLS that is terminated here, TLS that is passed on by its server name, and
// UDP.
//
// A connection goes: accept → PROXY header → ClientHello → route → TLS →
// preread phase of the plugins → peer → connection, again where nothing was
// sent → bytes both ways → log phase. A UDP session is all datagrams between one
// client and one of our addresses, from the first until nothing moves for a
// while.
//
// A session holds the configuration while it is opened, and from then on only
// its plan.
package stream
