// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins the Caddy that the gateway is measured against.
package tools

import (
	_ "github.com/caddyserver/caddy/v2/cmd/caddy"
)
