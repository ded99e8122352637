// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// Backends of vaults: the Name of a Vault, which is also the name under which
// references reach the backend without a Vault of their own.
const (
	// VaultEnv reads environment variables of the proxy, as Kong's env vault.
	VaultEnv = "env"
	// VaultFile reads files below the proxy's directory of secrets, as mounted
	// Secrets are. Kong has no such vault.
	VaultFile = "file"
)

// vaultBackends are the settings of each backend. All but prefix, directory and
// base64_decode are in seconds.
var vaultBackends = map[string]*schema.Record{
	VaultEnv: vaultConfig(
		schema.String("prefix").Matches(`^[A-Za-z_-][A-Za-z0-9_-]*$`),
	),
	VaultFile: vaultConfig(
		schema.String("directory").CustomString("local_directory", checkVaultDirectory),
	),
}

// IsVaultBackend reports whether references reach a backend by this name without
// a Vault.
func IsVaultBackend(name string) bool { return vaultBackends[name] != nil }

func vaultConfig(own ...*schema.Field) *schema.Record {
	return schema.NewRecord(append(own,
		schema.Number("ttl").Between(0, 1e8),
		schema.Number("neg_ttl").Between(0, 1e8),
		schema.Number("resurrect_ttl").Between(0, 1e8),
		schema.Boolean("base64_decode").Default(false),
	)...)
}

func checkVaultDirectory(s string) string {
	if !filepath.IsLocal(s) || strings.ContainsRune(s, 0) {
		return "expected a directory below the proxy's directory of secrets, without a leading slash and without .."
	}
	return ""
}

// vaultRecords are the records of whole vaults, by backend.
var vaultRecords = func() map[string]*schema.Record {
	records := make(map[string]*schema.Record, len(vaultBackends))
	for name, config := range vaultBackends {
		records[name] = common(
			schema.String("name").Required(),
			schema.String("prefix").Required().Matches(`^[a-z][a-z0-9-]*[a-z0-9]+$`).
				NotOneOf(VaultEnv, VaultFile, "aws", "azure", "conjur", "gcp", "hcv", "konnect"),
			schema.String("description"),
			schema.Nested("config", config),
		)
	}
	return records
}()

func vaultRecord(name any) (r *schema.Record, field, message string) {
	text, ok := name.(string)
	switch {
	case name == nil:
		return nil, "name", "required field missing"
	case !ok:
		return nil, "name", "expected a string"
	}
	if r = vaultRecords[text]; r != nil {
		return r, "", ""
	}
	backends := slices.Sorted(maps.Keys(vaultBackends))
	return nil, "name", fmt.Sprintf("vault '%s' is not installed; this gateway has %s", text, strings.Join(backends, " and "))
}

// MapReferences returns e with each vault reference in a referenceable field
// replaced by what replace returns for it, or e itself when it holds none. Only
// plugins, certificates and credentials may hold any. e is sparse and is not
// changed; what is not replaced is shared.
func MapReferences(e Entity, s SchemaSet, replace func(field, reference string) string) Entity {
	hit := false
	within := func(prefix string) func(field, reference string) string {
		return func(field, reference string) string {
			hit = true
			return replace(prefix+field, reference)
		}
	}
	switch e := e.(type) {
	case *Plugin:
		p, _ := s.Plugin(e.Name)
		if p.Config == nil {
			return e
		}
		if config := p.Config.MapReferences(e.Config, within("config.")); hit {
			c := *e
			c.Config = config
			return &c
		}
	case *Credential:
		t, _ := s.Credential(e.Type)
		if t.Record == nil {
			return e
		}
		if fields := t.Record.MapReferences(e.Fields, within("")); hit {
			c := *e
			c.Fields = fields
			return &c
		}
	case *Certificate:
		c := *e
		for _, f := range []struct {
			name  string
			value *string
		}{{"cert", &c.Cert}, {"key", &c.Key}, {"cert_alt", &c.CertAlt}, {"key_alt", &c.KeyAlt}} {
			if schema.IsReference(*f.value) {
				*f.value = within("")(f.name, *f.value)
			}
		}
		if hit {
			return &c
		}
	}
	return e
}

// VaultConfig returns the settings that a reference has: those of its vault,
// which may be nil when it names a backend, with its own options over them, and
// defaults. backend is the Name of a Vault. The error names the option that
// does not fit.
func VaultConfig(backend string, config map[string]any, options map[string]string) (map[string]any, error) {
	record := vaultBackends[backend]
	if record == nil {
		_, _, message := vaultRecord(backend)
		return nil, fmt.Errorf("%s", message)
	}
	merged := maps.Clone(config)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, text := range options {
		f := record.Field(name)
		if f == nil {
			return nil, fmt.Errorf("vault '%s' has no option '%s'", backend, name)
		}
		merged[name] = optionValue(f, text)
	}
	full, violations := record.CompleteChecked(merged)
	if len(violations) > 0 {
		return nil, fmt.Errorf("option '%s': %s", violations[0].Path, violations[0].Message)
	}
	return full, nil
}

// optionValue is what a text means for a field; when it means nothing the text
// stays, which the field refuses.
func optionValue(f *schema.Field, text string) any {
	switch f.Type() {
	case schema.TypeNumber:
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	case schema.TypeBoolean:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

// checkReferences reports references to vaults that the set does not have, and
// options that the vault does not.
func (c *crossChecker) checkReferences(set *Set) {
	vaults := make(map[string]*Vault, len(set.Vaults))
	for _, v := range set.Vaults {
		vaults[v.Prefix] = v
	}
	for e := range set.All() {
		MapReferences(e, c.schemas, func(field, text string) string {
			r, err := schema.ParseReference(text)
			if err != nil {
				return text // each entity is told by its own check
			}
			backend, config := r.Vault, map[string]any(nil)
			if v := vaults[r.Vault]; v != nil {
				backend, config = v.Name, v.Config
			} else if vaultBackends[r.Vault] == nil {
				c.add(e, field, fmt.Sprintf("%s: could not find vault (%s): declare a vault with this prefix, or name a backend (%s)",
					text, r.Vault, strings.Join(slices.Sorted(maps.Keys(vaultBackends)), ", ")))
				return text
			}
			if _, err := VaultConfig(backend, config, r.Options); err != nil {
				c.add(e, field, text+": "+err.Error())
			}
			return text
		})
	}
}
