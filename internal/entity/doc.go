// SPDX-License-Identifier: Apache-2.0

// Package entity holds Kong's entity model: the contract between the control
// plane, which compiles Kubernetes objects into entities, and the data plane,
// which runs them. The types follow Kong's declarative format 3.0 (DB-less
// configuration, decK) field by field.
//
// Entities are sparse: a nil pointer, an empty string or a nil slice means that
// the user did not set the field. Only what was set travels over the stream and
// is written to files; Complete fills in Kong's defaults on the side that runs
// them. Values are treated as immutable once they are part of a Set.
//
// The package knows plugins only through the SchemaSet that callers pass in.
package entity
