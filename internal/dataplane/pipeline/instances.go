// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"fmt"
	"math"

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

// Invalid is the rejection of an entity that entity.Complete has refused with
// err, with the field that it names first.
func Invalid(e entity.Entity, err error) Rejection {
	out := Rejection{Key: entity.KeyOf(e), Name: entity.NameOf(e), Reason: err.Error()}
	if problems, ok := errors.AsType[entity.Problems](err); ok && len(problems) > 0 {
		out.Field = problems[0].Field
	}
	return out
}

// Catalog knows the plugins that this data plane can run.
type Catalog struct {
	registrations map[string]plugin.Registration
	schemas       entity.SchemaSet
	host          plugin.Host
}

// NewCatalog returns a catalog of the given registrations. It fails when two
// share a name: that is a mistake of the build.
func NewCatalog(host plugin.Host, schemas entity.SchemaSet, registrations ...plugin.Registration) (*Catalog, error) {
	c := &Catalog{registrations: map[string]plugin.Registration{}, schemas: schemas, host: host}
	for _, r := range registrations {
		if _, twice := c.registrations[r.Name]; twice {
			return nil, fmt.Errorf("pipeline: plugin %q is registered twice", r.Name)
		}
		c.registrations[r.Name] = r
	}
	return c, nil
}

// Configure returns the instance for p: previous when its content is that of
// p, else a new one. With a Rejection it returns an instance that answers 500,
// or closes the session, because what the plugin was to guard must not be served without it.
func (c *Catalog) Configure(p *entity.Plugin, previous *Instance) (*Instance, *Rejection) {
	registration, known := c.registrations[p.Name]
	reject := func(field, reason string) (*Instance, *Rejection) {
		broken := &Instance{Plugin: p, Priority: registration.Priority, Phases: &plugin.Phases{Access: refuse, Preread: plugin.Session.Abort}}
		if !known {
			broken.Priority = math.MaxInt
		}
		return broken, &Rejection{Key: entity.KeyOf(p), Name: p.Name, Field: field, Reason: reason}
	}
	hash, err := entity.HashEntity(p)
	if err != nil {
		return reject("config", err.Error())
	}
	if previous != nil && previous.hash == hash {
		return previous, nil
	}
	if !known {
		return reject("name", "plugin is not part of this gateway; remove it or use a version that has it")
	}
	complete, err := entity.Complete(p, c.schemas)
	if err != nil {
		return reject("config", err.Error())
	}
	values := complete.(*entity.Plugin).Config
	phases, err := configure(registration, plugin.Config{Plugin: p, Values: values, Host: c.host})
	if err != nil {
		return reject("config", err.Error())
	}
	return &Instance{Plugin: p, Priority: registration.Priority, Phases: phases, hash: hash}, nil
}

// refuse answers for a plugin that could not be configured.
func refuse(x plugin.Exchange) { x.Exit(failed) }

// configure makes a panic of a plugin's Configure cost the plugin only.
func configure(r plugin.Registration, c plugin.Config) (phases *plugin.Phases, err error) {
	defer func() {
		if v := recover(); v != nil {
			phases, err = nil, fmt.Errorf("the plugin broke while it was configured: %v", v)
		}
	}()
	phases, err = r.Configure(c)
	if err == nil && phases == nil {
		err = errors.New("the plugin returned no phases")
	}
	return phases, err
}
