// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins what the local cluster builds from the etcd module.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)
