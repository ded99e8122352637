// SPDX-License-Identifier: Apache-2.0

// Package gateway reconciles KongIstioGateway objects into child objects and writes their status.
//
// The files have one role each: *_controller the flow, *_resources what is read, *_plan the pure decision, *_update what
// is written, *_status what is reported, *_watches what wakes the reconciler.
package gateway
