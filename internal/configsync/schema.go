// SPDX-License-Identifier: Apache-2.0

package configsync

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/configsync/content"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Schema announces which fields one end of the stream understands of one thing.
// Names are a kind ("routes"), "plugin:<name>" for a plugin's config, or
// "credential:<type>" for a credential's fields.
type Schema struct {
	Name string
	Hash Hash
	// Fields are dotted paths, sorted. A path with longer ones below it admits
	// only those; one without admits any value. Lists are looked through; the
	// segment "*" stands for every key of a map of records.
	Fields []string
	// Guards says of a plugin that nothing is to be served without it. It is
	// known of our own build's plugins only and not announced.
	Guards bool
}

// NewSchema returns a schema with its hash. The fields may come in any order.
func NewSchema(name string, fields []string) Schema {
	fields = slices.Compact(slices.Sorted(slices.Values(fields)))
	return Schema{
		Name:   name,
		Hash:   content.Sum([]byte(name + "\n" + strings.Join(fields, "\n"))),
		Fields: fields,
	}
}

// PluginSchemaName returns the name under which a plugin's config is announced.
func PluginSchemaName(plugin string) string { return "plugin:" + plugin }

// CredentialSchemaName returns the name under which a credential's fields are
// announced.
func CredentialSchemaName(typ string) string { return "credential:" + typ }

// Schemas announces everything that this build understands: the entity types,
// and the plugins and credentials of set.
func Schemas(set entity.SchemaSet) ([]Schema, error) {
	out := CoreSchemas()
	hashes := set.Hashes()
	for _, p := range set.Plugins() {
		s := NewSchema(PluginSchemaName(p.Name), p.Config.Paths())
		s.Guards = p.Guards
		// The set's own hash also covers defaults and checks, so that two builds
		// that differ there are compared field by field.
		if _, err := hex.Decode(s.Hash[:], []byte(hashes[p.Name])); err != nil {
			return nil, fmt.Errorf("hash of plugin %s: %w", p.Name, err)
		}
		out = append(out, s)
		for _, c := range p.Credentials {
			out = append(out, NewSchema(CredentialSchemaName(c.Collection), c.Record.Paths()))
		}
	}
	return out, nil
}

// CoreSchemas announces the fields of every entity type and of the settings, as
// the types of this build have them.
func CoreSchemas() []Schema {
	types := []struct {
		name entity.Kind
		of   any
	}{
		{entity.KindService, entity.Service{}},
		{entity.KindRoute, entity.Route{}},
		{entity.KindUpstream, entity.Upstream{}},
		{entity.KindTarget, entity.Target{}},
		{entity.KindPlugin, entity.Plugin{}},
		{entity.KindConsumer, entity.Consumer{}},
		{entity.KindConsumerGroup, entity.ConsumerGroup{}},
		{entity.KindCredential, entity.Credential{}},
		{entity.KindCertificate, entity.Certificate{}},
		{entity.KindSNI, entity.SNI{}},
		{entity.KindCACertificate, entity.CACertificate{}},
		{entity.KindVault, entity.Vault{}},
		{KindDialPolicy, DialPolicy{}},
		{KindScope, ScopeEntry{}},
	}
	out := make([]Schema, 0, len(types))
	for _, t := range types {
		out = append(out, NewSchema(string(t.name), fieldsOf(reflect.TypeOf(t.of), "")))
	}
	return out
}

// fieldsOf lists the JSON paths of a struct type.
func fieldsOf(t reflect.Type, prefix string) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		path := prefix + name
		ft := f.Type
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		out = append(out, path)
		if ft.Kind() == reflect.Struct && ft.PkgPath() == reflect.TypeFor[entity.Ref]().PkgPath() {
			out = append(out, fieldsOf(ft, path+".")...)
		}
	}
	return out
}
