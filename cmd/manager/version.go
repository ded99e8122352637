// SPDX-License-Identifier: Apache-2.0

package main

// version is set by the build.
var version = "0.1.0"
