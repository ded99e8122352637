// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Instance is one configured plugin. It is carried by pointer from snapshot to
// snapshot for as long as the entity's content stays the same.
type Instance struct {
	Plugin   *entity.Plugin
	Priority int
	Phases   *plugin.Phases

	hash [16]byte
}

// Rejection says why an entity cannot run.
type Rejection struct {
	Key    entity.Key
	Name   string
	Field  string
	Reason string
}

// Error implements error.
func (r Rejection) Error() string {
	return fmt.Sprintf("%s %q %s: %s", r.Key.Kind, r.Name, r.Field, r.Reason)
}

// Instances are the configured plugins of a snapshot, by plugin id. The map is
// immutable once published.
type Instances map[entity.ID]*Instance

// Catalog knows the plugins that this data plane can run.
type Catalog struct {
	registrations map[string]plugin.Registration
	schemas       entity.SchemaSet
	host          plugin.Host
}

// NewCatalog returns a catalog of the given registrations. It panics when two
// share a name: that is a mistake of the build.
func NewCatalog(host plugin.Host, schemas entity.SchemaSet, registrations ...plugin.Registration) *Catalog {
	c := &Catalog{registrations: map[string]plugin.Registration{}, schemas: schemas, host: host}
	for _, r := range registrations {
		if _, twice := c.registrations[r.Name]; twice {
			panic("pipeline: plugin registered twice: " + r.Name)
		}
		c.registrations[r.Name] = r
	}
	return c
}

// Configure returns the instance for p: previous when its content is that of
// p, else a new one.
func (c *Catalog) Configure(p *entity.Plugin, previous *Instance) (*Instance, *Rejection) {
	reject := func(field, reason string) *Rejection {
		return &Rejection{Key: entity.KeyOf(p), Name: p.Name, Field: field, Reason: reason}
	}
	hash, err := entity.HashEntity(p)
	if err != nil {
		return nil, reject("config", err.Error())
	}
	if previous != nil && previous.hash == hash {
		return previous, nil
	}
	registration, ok := c.registrations[p.Name]
	if !ok {
		return nil, reject("name", "plugin is not part of this gateway; remove it or use a version that has it")
	}
	complete, err := entity.Complete(p, c.schemas)
	if err != nil {
		return nil, reject("config", err.Error())
	}
	values := complete.(*entity.Plugin).Config
	phases, err := registration.Configure(plugin.Config{Plugin: p, Values: values, Host: c.host})
	if err != nil {
		return nil, reject("config", err.Error())
	}
	return &Instance{Plugin: p, Priority: registration.Priority, Phases: phases, hash: hash}, nil
}
