// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

const (
	kindPlugin        = "KongPlugin"
	kindClusterPlugin = "KongClusterPlugin"
)

// Schemas knows the plugins that the gateway can run.
type Schemas interface {
	// CheckPlugin checks a sparse configuration. known is false for a plugin
	// that the gateway does not have.
	CheckPlugin(name string, config map[string]any) (known bool, violations []schema.Violation)
}

// PluginOwner returns the unit of a KongPlugin, or with an empty namespace of a
// KongClusterPlugin.
func PluginOwner(namespace, name string) fragment.Owner {
	return fragment.Owner{Kind: fragment.OwnerPlugin, Namespace: namespace, Name: name}
}

// PluginRef names a KongPlugin.
func PluginRef(p *kongv1.KongPlugin) fragment.ObjectRef {
	return fragment.RefOf(kongv1.GroupVersion.Group, kongv1.GroupVersion.Version, kindPlugin, p)
}

// ClusterPluginRef names a KongClusterPlugin. The object's namespace, which
// people sometimes write although the kind has none, is left out.
func ClusterPluginRef(p *kongv1.KongClusterPlugin) fragment.ObjectRef {
	r := fragment.RefOf(kongv1.GroupVersion.Group, kongv1.GroupVersion.Version, kindClusterPlugin, p)
	r.Namespace = ""
	return r
}

// source is what the two plugin kinds have in common.
type source struct {
	ref          fragment.ObjectRef
	annotations  map[string]string
	plugin       string
	config       []byte
	from         *secretKey
	patches      []patch
	protocols    []kongv1.KongProtocol
	disabled     bool
	instanceName string
	ordering     *entity.PluginOrdering
}

// secretKey names a value in a Secret.
type secretKey struct{ namespace, name, key string }

// patch puts a Secret's value into the configuration.
type patch struct {
	path string
	from secretKey
}

// TranslatePlugin returns the template of a KongPlugin as the result's facts.
func TranslatePlugin(p *kongv1.KongPlugin, schemas Schemas, refs fragment.Refs) fragment.Result {
	s := source{
		ref: PluginRef(p), annotations: p.Annotations, plugin: p.PluginName, config: p.Config.Raw,
		protocols: p.Protocols, disabled: p.Disabled, instanceName: p.InstanceName,
	}
	if p.ConfigFrom != nil {
		v := p.ConfigFrom.SecretValue
		s.from = &secretKey{p.Namespace, v.Secret, v.Key}
	}
	for _, c := range p.ConfigPatches {
		v := c.ValueFrom.SecretValue
		s.patches = append(s.patches, patch{c.Path, secretKey{p.Namespace, v.Secret, v.Key}})
	}
	if p.Ordering != nil {
		s.ordering = &entity.PluginOrdering{Before: p.Ordering.Before, After: p.Ordering.After}
	}
	return s.translate(schemas, refs)
}

// TranslateClusterPlugin returns the template of a KongClusterPlugin as the
// result's facts. One that is not of the gateway's class cannot be used, and
// nothing is said about it but to those who refer to it.
func TranslateClusterPlugin(p *kongv1.KongClusterPlugin, schemas Schemas, refs fragment.Refs) fragment.Result {
	settings := refs.Settings()
	if !settings.Owns(p.Annotations, nil) {
		return fragment.Result{Facts: fragment.PluginFacts{
			Exists: true, Object: ClusterPluginRef(p),
			Why: fmt.Sprintf("it is not of class %q (annotation %s)", settings.Class, fragment.AnnotationClass),
		}}
	}
	s := source{
		ref: ClusterPluginRef(p), annotations: p.Annotations, plugin: p.PluginName, config: p.Config.Raw,
		protocols: p.Protocols, disabled: p.Disabled, instanceName: p.InstanceName,
	}
	if p.ConfigFrom != nil {
		v := p.ConfigFrom.SecretValue
		s.from = &secretKey{v.Namespace, v.Secret, v.Key}
	}
	for _, c := range p.ConfigPatches {
		v := c.ValueFrom.SecretValue
		s.patches = append(s.patches, patch{c.Path, secretKey{v.Namespace, v.Secret, v.Key}})
	}
	if p.Ordering != nil {
		s.ordering = &entity.PluginOrdering{Before: p.Ordering.Before, After: p.Ordering.After}
	}
	return s.translate(schemas, refs)
}

// translate makes the template.
func (s *source) translate(schemas Schemas, refs fragment.Refs) fragment.Result {
	config, bad := s.resolveConfig(refs)
	if bad != nil {
		return s.refuse(bad)
	}
	known, violations := schemas.CheckPlugin(s.plugin, config)
	if !known {
		return s.refuse(&fault{
			field: "plugin", reason: fragment.ReasonPluginUnknown, invalid: true,
			message: fmt.Sprintf("the gateway has no plugin %q", s.plugin),
			fix:     "correct the name; see the list of plugins in the documentation",
		})
	}
	if len(violations) > 0 {
		return s.refuse(violated(violations))
	}
	template := &entity.Plugin{
		Name: s.plugin, InstanceName: s.instanceName, Config: config, Ordering: s.ordering,
		Tags: fragment.Tags(s.ref, s.annotations),
	}
	for _, p := range s.protocols {
		template.Protocols = append(template.Protocols, entity.Protocol(p))
	}
	if s.disabled {
		template.Enabled = new(bool)
	}
	return fragment.Result{Facts: fragment.PluginFacts{Exists: true, Object: s.ref, Template: template}}
}

// fault is why a plugin object has no usable version. invalid tells a wrong
// object from one whose Secret is gone.
type fault struct {
	field, reason, message, fix string
	invalid                     bool
}

func (s *source) refuse(f *fault) fragment.Result {
	r := fragment.Result{
		Facts:   fragment.PluginFacts{Exists: true, Object: s.ref, Why: f.message},
		Invalid: f.invalid,
	}
	r.Report(s.ref, f.field, f.reason, f.message, f.fix)
	return r
}

// violated turns schema violations into one fault that names the first field.
func violated(list []schema.Violation) *fault {
	texts := make([]string, 0, len(list))
	for _, v := range list {
		texts = append(texts, "config."+v.String())
	}
	return &fault{
		field: "config." + list[0].Path, reason: fragment.ReasonPluginConfigInvalid, invalid: true,
		message: "plugin failed schema validation: " + strings.Join(texts, "; "),
		fix:     "correct the configuration",
	}
}
