// SPDX-License-Identifier: Apache-2.0

package engine

// Draining reports whether answers end their connection.
func (e *Engine) Draining() bool { return e.draining.Load() }
