// SPDX-License-Identifier: Apache-2.0

package entity

// Tags returns the tags of an entity, nil without any. They belong to the
// entity and are not to be changed.
func Tags(e Entity) []string {
	switch e := e.(type) {
	case *Service:
		return e.Tags
	case *Route:
		return e.Tags
	case *Upstream:
		return e.Tags
	case *Target:
		return e.Tags
	case *Plugin:
		return e.Tags
	case *Consumer:
		return e.Tags
	case *ConsumerGroup:
		return e.Tags
	case *Credential:
		return e.Tags
	case *Certificate:
		return e.Tags
	case *SNI:
		return e.Tags
	case *CACertificate:
		return e.Tags
	case *Vault:
		return e.Tags
	}
	return nil
}
