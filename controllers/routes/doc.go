// SPDX-License-Identifier: Apache-2.0

// Package routes feeds the control plane from the API server and writes back
// what became of the objects.
//
// Informers put objects into the store; what the store delivers goes to a
// Publisher, which streams it to the proxies; states, problems and the proxies'
// acknowledgements become conditions, addresses and events. Everything that
// decides lies in internal/controlplane; here is only reading, calling and
// writing.
package routes
