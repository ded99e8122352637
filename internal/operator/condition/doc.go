// SPDX-License-Identifier: Apache-2.0

// Package condition computes the conditions of a KongIstioGateway from observed facts. Each condition is a plain list of
// policies; the first one that has something to say decides. Nothing here looks at the conditions of last time, except
// to keep the time of the last transition.
package condition
