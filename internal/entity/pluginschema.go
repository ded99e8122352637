// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// PluginSchema is all that a configuration needs to know about a plugin.
// Values are package variables of internal/plugins/<name>/schema and are never
// changed.
type PluginSchema struct {
	// Name is Kong's name of the plugin, as in "rate-limiting".
	Name string
	// Config describes the plugin's config.
	Config *schema.Record
	// Checks span the plugin's fields. Names of config fields start with
	// "config.".
	Checks []schema.EntityCheck

	// Protocols are those that the plugin may be limited to; nil stands for all.
	Protocols []Protocol
	// DefaultProtocols apply when the entity names none; nil stands for
	// grpc, grpcs, http and https.
	DefaultProtocols []Protocol

	// NoConsumer, NoConsumerGroup, NoRoute and NoService refuse a scope.
	NoConsumer      bool
	NoConsumerGroup bool
	NoRoute         bool
	NoService       bool

	// Guards says that the plugin refuses requests: who asked for it is not to
	// be served without it, or without a part of its config.
	Guards bool

	// Credentials are the collections of credentials that the plugin owns.
	Credentials []CredentialType

	// Defaults314 are the defaults that are others under Line314, by the dotted
	// path of their field in the config, beside those that Under knows.
	Defaults314 map[string]any
}

// CredentialType describes one collection of consumers' credentials.
type CredentialType struct {
	// Collection is the declarative name, as in "keyauth_credentials". It is
	// the Type of its Credentials.
	Collection string
	// Record describes Credential.Fields. Fields that all credentials have (id,
	// consumer, tags, created_at) are not part of it.
	Record *schema.Record
	// UniqueKey is the field whose values are unique within the collection,
	// empty when there is none.
	UniqueKey string
	// Key are the fields that identify a credential, "consumer" standing for
	// its consumer: ids that are missing are derived from them. Nil stands for
	// UniqueKey.
	Key []string
	// Transformed says that Kong hashes a field when it loads a configuration,
	// unless the file says that this was done before.
	Transformed bool
}

// SchemaSet holds the plugins that a program knows, by name. The zero value
// knows none. It is immutable and safe for concurrent use.
type SchemaSet struct {
	plugins     map[string]*pluginEntry
	credentials map[string]*credentialEntry
	line        Line
}

type pluginEntry struct {
	schema PluginSchema
	record *schema.Record // the whole entity
}

type credentialEntry struct {
	typ    CredentialType
	plugin string
	record *schema.Record // the whole entity
}

// NewSchemaSet returns a set of these plugins. It fails when two of them share
// a name or a collection of credentials, or when one has no config schema.
func NewSchemaSet(plugins ...PluginSchema) (SchemaSet, error) {
	s := SchemaSet{
		plugins:     make(map[string]*pluginEntry, len(plugins)),
		credentials: make(map[string]*credentialEntry),
	}
	for _, p := range plugins {
		if p.Name == "" || p.Config == nil {
			return SchemaSet{}, fmt.Errorf("plugin schema %q: name and config are required", p.Name)
		}
		if s.plugins[p.Name] != nil {
			return SchemaSet{}, fmt.Errorf("plugin schema %q is given twice", p.Name)
		}
		s.plugins[p.Name] = &pluginEntry{schema: p, record: pluginRecord(p)}
		for _, c := range p.Credentials {
			if other := s.credentials[c.Collection]; other != nil {
				return SchemaSet{}, fmt.Errorf("plugins %q and %q both own %q", other.plugin, p.Name, c.Collection)
			}
			s.credentials[c.Collection] = &credentialEntry{typ: c, plugin: p.Name, record: credentialRecord(c)}
		}
	}
	return s, nil
}

// Plugin returns the schema of the plugin of that name.
func (s SchemaSet) Plugin(name string) (PluginSchema, bool) {
	e := s.plugins[name]
	if e == nil {
		return PluginSchema{}, false
	}
	return e.schema, true
}

// Plugins returns all schemas, sorted by name.
func (s SchemaSet) Plugins() []PluginSchema {
	out := make([]PluginSchema, 0, len(s.plugins))
	for _, name := range slices.Sorted(maps.Keys(s.plugins)) {
		out = append(out, s.plugins[name].schema)
	}
	return out
}

// Credential returns the type of the credentials in that collection.
func (s SchemaSet) Credential(collection string) (CredentialType, bool) {
	e := s.credentials[collection]
	if e == nil {
		return CredentialType{}, false
	}
	return e.typ, true
}

// Collections returns the names of all collections of credentials, sorted.
func (s SchemaSet) Collections() []string {
	return slices.Sorted(maps.Keys(s.credentials))
}

// Hashes returns, by plugin name, a hash of everything that the plugin's
// schema says: what a proxy announces when it says hello.
func (s SchemaSet) Hashes() map[string]string {
	out := make(map[string]string, len(s.plugins))
	for name, e := range s.plugins {
		out[name] = e.hash()
	}
	return out
}

func (e *pluginEntry) hash() string {
	h := sha256.New()
	p := e.schema
	fmt.Fprintf(h, "%s %s", p.Name, e.record.Hash())
	for _, c := range p.Credentials {
		fmt.Fprintf(h, " %s %s %q %s", c.Collection, c.UniqueKey, c.Key, c.Record.Hash())
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
