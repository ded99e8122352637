// SPDX-License-Identifier: Apache-2.0

// Package bundle holds no code: its tests run the validators of the Operator Framework and the checks
// of operator-sdk's scorecard on ../../bundle, and see that it is what config/ says. It is a module of
// its own because the validators bring some hundred modules.
package bundle
