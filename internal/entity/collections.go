// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"iter"
)

// All yields every entity of the Set, kind by kind, each kind in its order.
// Entities come after those that they refer to.
func (s *Set) All() iter.Seq[Entity] {
	return func(yield func(Entity) bool) {
		_ = each(s.CACertificates, yield) && each(s.Certificates, yield) && each(s.Vaults, yield) &&
			each(s.ConsumerGroups, yield) && each(s.Consumers, yield) && each(s.Services, yield) &&
			each(s.Upstreams, yield) && each(s.Routes, yield) && each(s.SNIs, yield) &&
			each(s.Targets, yield) && each(s.Credentials, yield) && each(s.Plugins, yield)
	}
}

func each[T Entity](list []T, yield func(Entity) bool) bool {
	for _, e := range list {
		if !yield(e) {
			return false
		}
	}
	return true
}

// Len returns the number of entities.
func (s *Set) Len() int {
	return len(s.CACertificates) + len(s.Certificates) + len(s.Vaults) + len(s.ConsumerGroups) +
		len(s.Consumers) + len(s.Services) + len(s.Upstreams) + len(s.Routes) + len(s.SNIs) +
		len(s.Targets) + len(s.Credentials) + len(s.Plugins)
}

// Add appends e to the list of its kind.
func (s *Set) Add(e Entity) {
	switch e := e.(type) {
	case *Service:
		s.Services = append(s.Services, e)
	case *Route:
		s.Routes = append(s.Routes, e)
	case *Upstream:
		s.Upstreams = append(s.Upstreams, e)
	case *Target:
		s.Targets = append(s.Targets, e)
	case *Plugin:
		s.Plugins = append(s.Plugins, e)
	case *Consumer:
		s.Consumers = append(s.Consumers, e)
	case *ConsumerGroup:
		s.ConsumerGroups = append(s.ConsumerGroups, e)
	case *Credential:
		s.Credentials = append(s.Credentials, e)
	case *Certificate:
		s.Certificates = append(s.Certificates, e)
	case *SNI:
		s.SNIs = append(s.SNIs, e)
	case *CACertificate:
		s.CACertificates = append(s.CACertificates, e)
	case *Vault:
		s.Vaults = append(s.Vaults, e)
	}
}
