// SPDX-License-Identifier: Apache-2.0

// Package schema is a small declarative language for the shape of Kong
// entities and plugin configurations: which fields there are, their types,
// defaults and constraints, and the checks that span several fields.
//
// A Record works on plain values as JSON or YAML give them: map[string]any,
// []any, string, bool, nil, and any of Go's number types. Values are sparse: a
// key that is absent was not set. A key whose value is nil was set to null,
// which, as in Kong, suppresses the default. Nothing here changes its input.
//
// Messages follow Kong's, so that users find them in Kong's documentation and
// forums. A Record is immutable once built and safe for concurrent use.
package schema
