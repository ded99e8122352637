// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Directory implements plugin.Directory over lists.
type Directory struct {
	Consumers   []*entity.Consumer
	Groupings   map[entity.ID][]*entity.ConsumerGroup // by consumer, in order of name
	Secrets     []*entity.Credential
	UniqueField map[string]string // collection to the field that Credential looks for
}

// Consumer implements plugin.Directory.
func (d *Directory) Consumer(id entity.ID) *entity.Consumer {
	for _, c := range d.Consumers {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// ConsumerByName implements plugin.Directory.
func (d *Directory) ConsumerByName(username string) *entity.Consumer {
	for _, c := range d.Consumers {
		if c.Username == username {
			return c
		}
	}
	return nil
}

// Groups implements plugin.Directory.
func (d *Directory) Groups(c *entity.Consumer) []*entity.ConsumerGroup { return d.Groupings[c.ID] }

// Credential implements plugin.Directory. The unique field is "key" unless
// UniqueField names another.
func (d *Directory) Credential(collection, key string) *entity.Credential {
	field := d.UniqueField[collection]
	if field == "" {
		field = "key"
	}
	for _, c := range d.Secrets {
		if c.Type == collection && c.Fields[field] == key {
			return c
		}
	}
	return nil
}

// Holder implements plugin.Directory.
func (d *Directory) Holder(collection, key string) (*entity.Credential, *entity.Consumer) {
	c := d.Credential(collection, key)
	if c == nil || c.Consumer == nil {
		return c, nil
	}
	return c, d.Consumer(c.Consumer.ID)
}

// Credentials implements plugin.Directory.
func (d *Directory) Credentials(collection string, consumer entity.ID) []*entity.Credential {
	var out []*entity.Credential
	for _, c := range d.Secrets {
		if c.Type == collection && c.Consumer != nil && c.Consumer.ID == consumer {
			out = append(out, c)
		}
	}
	return out
}
