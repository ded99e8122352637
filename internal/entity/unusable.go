// SPDX-License-Identifier: Apache-2.0

package entity

// Names of the plugins that Unusable returns.
const (
	unusablePlugin    = "unusable"
	terminationPlugin = "request-termination"
)

// Unusable returns what takes the place of a plugin that cannot be used, without
// id and scope: a plugin that answers 500. The plugin unusable does so before
// all others, so that nothing is counted, cached or answered without the
// missing one. ofConsumer says that its scope names a consumer or a group, who
// are not known so early: request-termination then answers in its stead, after
// authentication.
func Unusable(ofConsumer bool) Plugin {
	if ofConsumer {
		return Plugin{Name: terminationPlugin, Config: map[string]any{
			"status_code": int64(500), "message": "An unexpected error occurred",
		}}
	}
	return Plugin{Name: unusablePlugin}
}
