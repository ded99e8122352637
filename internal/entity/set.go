// SPDX-License-Identifier: Apache-2.0

package entity

// Entity is any of the types of this package that a Set holds.
type Entity interface {
	// EntityKind returns the collection the entity belongs to.
	EntityKind() Kind
	// EntityID returns the entity's id.
	EntityID() ID
}

// Key names one entity of a Set.
type Key struct {
	Kind Kind
	ID   ID
}

// KeyOf returns the key of e.
func KeyOf(e Entity) Key { return Key{Kind: e.EntityKind(), ID: e.EntityID()} }

// Set is a whole configuration. The entities in it are shared and immutable;
// the slices belong to the Set. Order is the order of the file, or by id when
// the Set comes from the stream.
type Set struct {
	Services       []*Service
	Routes         []*Route
	Upstreams      []*Upstream
	Targets        []*Target
	Plugins        []*Plugin
	Consumers      []*Consumer
	ConsumerGroups []*ConsumerGroup
	Credentials    []*Credential
	Certificates   []*Certificate
	SNIs           []*SNI
	CACertificates []*CACertificate
	Vaults         []*Vault
}

// EntityKind implements Entity.
func (*Service) EntityKind() Kind { return KindService }

// EntityID implements Entity.
func (e *Service) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Route) EntityKind() Kind { return KindRoute }

// EntityID implements Entity.
func (e *Route) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Upstream) EntityKind() Kind { return KindUpstream }

// EntityID implements Entity.
func (e *Upstream) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Target) EntityKind() Kind { return KindTarget }

// EntityID implements Entity.
func (e *Target) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Plugin) EntityKind() Kind { return KindPlugin }

// EntityID implements Entity.
func (e *Plugin) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Consumer) EntityKind() Kind { return KindConsumer }

// EntityID implements Entity.
func (e *Consumer) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*ConsumerGroup) EntityKind() Kind { return KindConsumerGroup }

// EntityID implements Entity.
func (e *ConsumerGroup) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Credential) EntityKind() Kind { return KindCredential }

// EntityID implements Entity.
func (e *Credential) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Certificate) EntityKind() Kind { return KindCertificate }

// EntityID implements Entity.
func (e *Certificate) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*SNI) EntityKind() Kind { return KindSNI }

// EntityID implements Entity.
func (e *SNI) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*CACertificate) EntityKind() Kind { return KindCACertificate }

// EntityID implements Entity.
func (e *CACertificate) EntityID() ID { return e.ID }

// EntityKind implements Entity.
func (*Vault) EntityKind() Kind { return KindVault }

// EntityID implements Entity.
func (e *Vault) EntityID() ID { return e.ID }
