// SPDX-License-Identifier: Apache-2.0

package entity

import "strings"

// CanonicalServerName returns the form in which names of servers are compared:
// in lower case (RFC 4343) and without the final dot, which no client sends
// (RFC 6066 §3). Two names with the same form are the same server's, so that
// only one SNI can have it.
func CanonicalServerName(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
