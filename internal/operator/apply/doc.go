// SPDX-License-Identifier: Apache-2.0

// Package apply writes child objects with server-side apply under one field owner.
//
// [Decide] is the pure core: it compares a live object with a rendered one and says what to do. [Engine] is the thin
// shell that reads, asks Decide and writes. An object is written only when a rendered leaf differs from the live one
// (by merge key, by value, defaults of the server left aside) or when we still own a field that is no longer rendered,
// so that a restart writes nothing and a removed field really disappears.
//
// The structure of lists and maps (merge keys, sets, atomic) is read from the live object's own managedFields, where
// the API server recorded it: no schema has to be shipped or kept in step, and custom resources work like built-in ones.
package apply

import "github.com/kong/kong-istio-gateway/internal/operator/render"

// FieldManager is the one field owner of everything the operator writes.
const FieldManager = "kong-istio-gateway"

// UIDLabel is the inventory label: the UID of the gateway a child object belongs to.
const UIDLabel = render.LabelGatewayUID
