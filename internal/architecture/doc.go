// SPDX-License-Identifier: Apache-2.0

// Package architecture holds no code: its tests hold the house together. They read the import graph
// of the whole module, as `go list -deps` gives it, and fail with the chain of imports when a
// package reaches what it never may. docs/architecture.md explains the house.
package architecture
