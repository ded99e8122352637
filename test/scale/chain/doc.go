// SPDX-License-Identifier: Apache-2.0

// Package chain is the manager's compiling of a large class without an API
// server: the store is fed, Secrets are answered, fragments become a snapshot.
// The benchmarks and the bounds beside it say what a change costs among 500,
// 5,000 and 20,000 Ingresses.
package chain
