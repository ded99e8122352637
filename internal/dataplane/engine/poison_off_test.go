// SPDX-License-Identifier: Apache-2.0

//go:build !poison

package engine_test

const poisoned = false
