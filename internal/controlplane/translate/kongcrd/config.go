// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"encoding/json"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// resolveConfig returns a plugin's configuration: as written, from a Secret, or
// with values from Secrets put into it. Errors never quote a Secret's value.
func (s *source) resolveConfig(refs fragment.Refs) (map[string]any, *fault) {
	hasConfig := len(s.config) > 0 && string(s.config) != "null"
	switch {
	case s.from != nil && hasConfig:
		return nil, &fault{
			field: "configFrom", reason: fragment.ReasonPluginConfigInvalid, invalid: true,
			message: "Using both config and configFrom fields is not allowed.", fix: "remove one of them",
		}
	case s.from != nil && len(s.patches) > 0:
		return nil, &fault{
			field: "configPatches", reason: fragment.ReasonPluginConfigInvalid, invalid: true,
			message: "Using both configFrom and configPatches fields is not allowed.", fix: "remove one of them",
		}
	case s.from != nil:
		document, bad := read(refs, *s.from, "configFrom.secretKeyRef")
		if bad != nil {
			return nil, bad
		}
		return decode(document, "configFrom.secretKeyRef", "the value of the Secret is not a JSON or YAML mapping")
	}
	document := []byte("{}")
	if hasConfig {
		document = s.config
	}
	for i, p := range s.patches {
		var bad *fault
		if document, bad = p.apply(refs, document, fmt.Sprintf("configPatches[%d]", i)); bad != nil {
			return nil, bad
		}
	}
	return decode(document, "config", "the configuration is not a mapping")
}

// read returns a value of a Secret.
func read(refs fragment.Refs, k secretKey, field string) ([]byte, *fault) {
	if k.namespace == "" {
		return nil, &fault{
			field: field + ".namespace", reason: fragment.ReasonPluginConfigInvalid, invalid: true,
			message: fmt.Sprintf("the namespace of Secret %s is missing", k.name), fix: "name it: the object itself has none",
		}
	}
	secret := refs.Secret(k.namespace, k.name)
	if secret == nil {
		return nil, &fault{
			field: field + ".name", reason: fragment.ReasonSecretNotFound,
			message: fmt.Sprintf("Secret %s/%s does not exist", k.namespace, k.name),
			fix:     "create the Secret or correct its name",
		}
	}
	value, ok := secret.Data[k.key]
	if !ok {
		return nil, &fault{
			field: field + ".key", reason: fragment.ReasonSecretInvalid,
			message: fmt.Sprintf("Secret %s/%s has no key %q", k.namespace, k.name, k.key),
			fix:     "add the key to the Secret or correct its name",
		}
	}
	return value, nil
}

// decode reads a JSON or YAML mapping.
func decode(document []byte, field, message string) (map[string]any, *fault) {
	var config map[string]any
	if err := yaml.Unmarshal(document, &config); err != nil {
		return nil, &fault{
			field: field, reason: fragment.ReasonPluginConfigInvalid, invalid: true, message: message,
			fix: "write a mapping of the plugin's configuration fields",
		}
	}
	if config == nil {
		return map[string]any{}, nil
	}
	canonical, _ := schema.Canonical(config).(map[string]any)
	return canonical, nil
}

// apply adds the Secret's value at the patch's path, with missing parents.
func (p patch) apply(refs fragment.Refs, document []byte, field string) ([]byte, *fault) {
	value, bad := read(refs, p.from, field+".valueFrom.secretKeyRef")
	if bad != nil {
		return nil, bad
	}
	raw, err := yaml.YAMLToJSON(value)
	if err != nil {
		return nil, &fault{
			field: field + ".valueFrom", reason: fragment.ReasonSecretInvalid, invalid: true,
			message: fmt.Sprintf("the value of key %q in Secret %s/%s is neither JSON nor YAML", p.from.key, p.from.namespace, p.from.name),
			fix:     "write it as JSON; text needs quotes",
		}
	}
	op := "add"
	if p.path == "" {
		op = "replace" // the whole configuration
	}
	operation := []map[string]any{{"op": op, "path": p.path, "value": json.RawMessage(raw)}}
	encoded, err := json.Marshal(operation)
	if err == nil {
		err = checkPointer(document, p.path)
	}
	if err == nil {
		var decoded jsonpatch.Patch
		if decoded, err = jsonpatch.DecodePatch(encoded); err == nil {
			options := jsonpatch.NewApplyOptions()
			options.EnsurePathExistsOnAdd = true
			document, err = decoded.ApplyWithOptions(document, options)
		}
	}
	if err != nil {
		return nil, &fault{
			field: field + ".path", reason: fragment.ReasonPluginConfigInvalid, invalid: true,
			message: fmt.Sprintf("the path %.200q cannot be added to the configuration", p.path),
			fix:     "write a JSON pointer such as /headers/x-key; an index may be the list's length at most",
		}
	}
	return document, nil
}
