// SPDX-License-Identifier: Apache-2.0

// Package routes feeds the control plane from the API server and writes back
// what became of the objects.
//
// Informers put objects into the store; what the store delivers goes to a
// Publisher, which streams it to the proxies; states, problems and the proxies'
// acknowledgements become conditions, addresses and events. Everything that
// decides lies in internal/controlplane; here is only reading, calling and
// writing.
//
// Kong's own controller, or any other, may live beside this one:
//
//   - A status is written only on objects that a gateway of ours uses, and only
//     when it says something new.
//   - A Programmed condition is applied under FieldOwner without force. Where
//     another manager owns it, it stays theirs.
//   - The addresses of an Ingress, TCPIngress or UDPIngress of our class are
//     ours, by force: a class has one gateway.
//   - In the status of a KongUpstreamPolicy, which is one list for everybody,
//     the ancestors with our controller's name are ours. They are written on top
//     of the version that was read, or not at all.
//   - What nothing uses any more loses what we said of it, and only that.
package routes
