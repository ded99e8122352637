// SPDX-License-Identifier: Apache-2.0

package engine

// BodyBytesHeld returns how much of the budget for request bodies is used.
func (e *Engine) BodyBytesHeld() int64 { return e.buffering.used.Load() }
