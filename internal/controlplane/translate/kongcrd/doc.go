// SPDX-License-Identifier: Apache-2.0

// Package kongcrd translates Kong's own kinds: KongPlugin and KongClusterPlugin
// into plugin templates, their references into plugins, KongConsumer and
// KongConsumerGroup into consumers, credentials and groups. It is pure.
package kongcrd
