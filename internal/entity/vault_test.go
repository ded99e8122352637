// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

func referring(t *testing.T) entity.SchemaSet {
	t.Helper()
	s, err := entity.NewSchemaSet(entity.PluginSchema{
		Name: "teller",
		Config: schema.NewRecord(
			schema.String("open"), schema.String("secret").Secret().Referenceable(),
		),
		Credentials: []entity.CredentialType{{Collection: "tellers", Record: schema.NewRecord(schema.String("word").Secret().Referenceable())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// References are found in each kind that may hold them, and nowhere else.
func TestMapReferences(t *testing.T) {
	t.Parallel()
	s := referring(t)
	ref := "{vault://env/x}"
	for _, c := range []struct {
		name     string
		in, want entity.Entity
		fields   string
	}{
		{"plugin", &entity.Plugin{Name: "teller", Config: map[string]any{"open": ref, "secret": ref}},
			&entity.Plugin{Name: "teller", Config: map[string]any{"open": ref, "secret": "value"}}, "config.secret"},
		{"unknown plugin", &entity.Plugin{Name: "other", Config: map[string]any{"secret": ref}}, nil, ""},
		{"credential", &entity.Credential{Type: "tellers", Fields: map[string]any{"word": ref}},
			&entity.Credential{Type: "tellers", Fields: map[string]any{"word": "value"}}, "word"},
		{"certificate", &entity.Certificate{Cert: ref, Key: ref, CertAlt: "x", KeyAlt: ref},
			&entity.Certificate{Cert: "value", Key: "value", CertAlt: "x", KeyAlt: "value"}, "cert key key_alt"},
		{"service", &entity.Service{Host: ref}, nil, ""},
		{"none", &entity.Plugin{Name: "teller", Config: map[string]any{"secret": "x"}}, nil, ""},
	} {
		var fields []string
		got := entity.MapReferences(c.in, s, func(field, reference string) string {
			if reference != ref {
				t.Errorf("%s: reference %q", c.name, reference)
			}
			fields = append(fields, field)
			return "value"
		})
		if c.want == nil {
			if got != c.in {
				t.Errorf("%s: a copy was made", c.name)
			}
		} else if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if strings.Join(fields, " ") != c.fields {
			t.Errorf("%s: fields %v", c.name, fields)
		}
	}
}

func TestVaultConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, backend string
		config        map[string]any
		options       map[string]string
		want          map[string]any
		err           string
	}{
		{name: "empty", backend: "env", want: map[string]any{"base64_decode": false}},
		{name: "options over settings", backend: "env", config: map[string]any{"prefix": "A_", "ttl": 5.0},
			options: map[string]string{"prefix": "B_", "ttl": "0.5", "base64_decode": "true"},
			want:    map[string]any{"prefix": "B_", "ttl": 0.5, "base64_decode": true}},
		{name: "unknown option", backend: "env", options: map[string]string{"region": "x"}, err: "no option 'region'"},
		{name: "no number", backend: "file", options: map[string]string{"ttl": "soon"}, err: "option 'ttl': expected a number"},
		{name: "out of the directory", backend: "file", options: map[string]string{"directory": "../x"}, err: "option 'directory'"},
		{name: "absolute", backend: "file", options: map[string]string{"directory": "/x"}, err: "option 'directory'"},
		{name: "unknown backend", backend: "hcv", err: "vault 'hcv' is not installed; this gateway has env and file"},
	} {
		got, err := entity.VaultConfig(c.backend, c.config, c.options)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(schema.Canonical(got), schema.Canonical(c.want)) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

// A file says where a reference goes wrong, before anything is resolved.
func TestDecodeVaultReferences(t *testing.T) {
	t.Parallel()
	_, problems := entity.Decode([]byte(`_format_version: "3.0"
vaults:
- name: env
  prefix: mine
plugins:
- name: teller
  instance_name: good
  config: {secret: "{vault://mine/a?ttl=3}"}
- name: teller
  instance_name: bad
  route: r
  config:
    secret: "{vault://yours/a}"
routes:
- name: r
  paths: [/]
- name: s
  paths: [/s]
  plugins:
  - name: teller
    config: {secret: "{vault://mine/a?color=red}"}
- name: u
  paths: [/u]
  plugins:
  - name: teller
    config: {secret: "{vault://mine}"}
`), referring(t))
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{
		"line 13: plugins[1] 'teller': config.secret: {vault://yours/a}: could not find vault (yours): declare a vault with this prefix, or name a backend (env, file)",
		"line 21: routes[1].plugins[0] 'teller': config.secret: {vault://mine/a?color=red}: vault 'env' has no option 'color'",
		"line 26: routes[2].plugins[0] 'teller': config.secret: the reference names no secret: {vault://name/secret}",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
}
