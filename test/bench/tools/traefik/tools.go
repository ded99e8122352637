// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins the Traefik that the gateway is measured against.
package tools

import (
	_ "github.com/traefik/traefik/v3/cmd/traefik"
)
