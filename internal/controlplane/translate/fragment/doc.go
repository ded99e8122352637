// SPDX-License-Identifier: Apache-2.0

// Package fragment is the common floor of all translators: what a translation
// yields (Result), what it may look at (Refs), and the names, ids and tags that
// Kong's ingress controller gives to the entities.
//
// A translator is a pure function of one object and of what Refs answers: it
// holds no client, reads no clock and logs nothing. Everything it reads goes
// through Refs, so that the store knows exactly which objects a fragment
// depends on and translates it again only when one of them changes.
package fragment
