// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins what the local cluster builds from the coredns module.
package tools

import (
	_ "github.com/coredns/coredns"
)
