// SPDX-License-Identifier: Apache-2.0

// Package store keeps the Kubernetes objects that routes are made of and
// translates them, object by object, into the fragments of each gateway's
// configuration.
//
// A gateway's translation is a graph of units. While a unit is translated,
// everything that it looks at is recorded; when something changes, exactly the
// units that looked at it are translated again. So the work of a change depends
// on what the change touches, not on how much there is.
//
// Units see the objects, other units' facts, and claims: what other units
// contend for (a host's certificate, the default backend, a unique credential)
// or make known (which consumers refer to a plugin). Claims are ordered by age,
// so that the outcome does not depend on the order of events.
package store
