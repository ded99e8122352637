// SPDX-License-Identifier: Apache-2.0

// Package expression reads Kong's router expressions: the language of a
// route's `expression` under router_flavor = expressions (Kong docs,
// "Expressions Language Reference"; its grammar is that of Kong's atc-router 1.6,
// which Kong 3.9 ships).
//
//	http.path ^= "/v1" && (net.protocol == "https" || any(http.headers.x_debug) == "1")
//
// A text becomes a tree of And, Or, Not and Predicate, whose types have been
// checked against the fields that requests, or connections, have. What
// evaluates it lives elsewhere.
//
// Two things that are easily taken for granted and are not so in Kong: || binds
// closer than &&, and ! stands before a parenthesis only.
//
// Everything here is pure, and a tree never changes.
package expression
