// SPDX-License-Identifier: Apache-2.0

// Package admin serves a view of the running entities in the form of Kong's
// Admin API (https://developer.konghq.com/api/gateway/admin-oss/). It changes
// nothing, answers on loopback only, refuses requests for names that are not the
// machine's own, and shows no secret: credentials and keys are replaced, vault
// references stay references.
package admin
