// SPDX-License-Identifier: Apache-2.0

// Package tlscert chooses the certificate of a TLS connection as Kong does: the
// exact server name, then the wildcard of its first label, then the wildcard of
// its last label, then "*", then the default certificate. An entity may hold an
// RSA and an ECDSA certificate; the client's abilities decide.
package tlscert
