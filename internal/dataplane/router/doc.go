// SPDX-License-Identifier: Apache-2.0

// Package router chooses the route of a request as Kong's router of flavor
// "traditional" or "expressions" does, and builds the path that the upstream sees.
//
// A Router is compiled once and never changes; With returns a new one that
// shares everything the change does not touch, so a Router may be used by any
// number of goroutines while the next one is being built.
//
// How Kong 3.9 decides (kong/router/traditional.lua is the authority; the
// recorded cases in testdata hold it to this package):
//
//   - A route with several paths counts as one candidate per path.
//   - Candidates are grouped into categories by the kinds of matchers they
//     have (hosts, headers, paths, methods, snis). More kinds come first; among
//     equally many, host > header > path > method > SNI.
//   - Inside a category candidates are ordered: wildcard host with port, plain
//     hosts only, regex path, number of headers, regex_priority (regex paths
//     only), length of a prefix path, older created_at, id.
//   - Before the whole category is tried in that order, Kong tries the smallest
//     of a few index lists (by Host as written, by the first known header, by
//     the best path). Where hosts overlap this changes who wins: it is why a
//     host with port beats the same host without. See category.reduced.
//
// Deviations from Kong, all towards the RFCs: host names and server names are
// compared without regard to case.
//
// With flavor Expressions, routes with an expression are tried before the
// others, by their priority (kong/router/expressions.lua). So that not all of
// them are evaluated, each is kept under what its expression cannot be true
// without: a host, the last labels of a host, what the path begins with; see
// cover.
package router
