// SPDX-License-Identifier: Apache-2.0

// Package resolver turns host names into addresses: hosts file, search domains,
// and a cache that honours TTLs, remembers failures, asks for a name once
// however many callers wait, and goes on using old answers while it asks for
// new ones. The standard library's resolver hides the TTLs.
package resolver
