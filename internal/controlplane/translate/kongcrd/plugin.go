// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

const (
	kindPlugin        = "KongPlugin"
	kindClusterPlugin = "KongClusterPlugin"
)

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
func TranslatePlugin(p *kongv1.KongPlugin, refs fragment.Refs) fragment.Result {
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
	return s.translate(refs)
}

// TranslateClusterPlugin returns the template of a KongClusterPlugin as the
// result's facts. One that is not of the gateway's class cannot be used, and
// nothing is said about it but to those who refer to it.
func TranslateClusterPlugin(p *kongv1.KongClusterPlugin, refs fragment.Refs) fragment.Result {
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
	return s.translate(refs)
}

// translate makes the template.
func (s *source) translate(refs fragment.Refs) fragment.Result {
	config, bad := s.resolveConfig(refs)
	if bad != nil {
		return s.refuse(bad)
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
	checked := *template
	checked.ID = fragment.ID(entity.KindPlugin, s.ref.String()) // templates have none, entities need one
	if problems := refs.Check(&checked); len(problems) > 0 {
		return s.refuse(s.violated(problems))
	}
	if bad := s.vaults(template, refs); bad != nil {
		return s.refuse(bad)
	}
	r := fragment.Result{
		Facts:    fragment.PluginFacts{Exists: true, Object: s.ref, Template: template},
		Backends: pluginBackends(config, refs),
	}
	if refs.Settings().LocalRefused {
		for _, e := range endpoints(config) {
			if isLocal(e.host) {
				r.Report(s.ref, "config", fragment.ReasonEndpointRefused,
					fmt.Sprintf("the proxies refuse to connect to %s: it is their own pod, or a link-local address", e.host), "name a Service or another host")
			}
		}
	}
	return r
}

// vaults returns what is wrong with the configuration's references to vaults:
// nobody has the prefix of one. Proxies would refuse the plugin.
func (s *source) vaults(template *entity.Plugin, refs fragment.Refs) (bad *fault) {
	refs.Vaults(template, func(field, vault string) {
		if bad != nil || entity.IsVaultBackend(vault) || refs.Claimed(fragment.Claim{Scope: fragment.ClaimVaultPrefix, Value: vault}) {
			return
		}
		bad = &fault{
			field: s.field(entity.Problem{Field: field}), reason: fragment.ReasonVaultNotFound,
			message: "no KongVault of the class has the prefix of the reference", fix: "create a KongVault with this prefix, or correct the reference",
		}
		if !s.secret() {
			bad.message = fmt.Sprintf("no KongVault of the class has the prefix %q", vault)
		}
	})
	return bad
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

// How much is told of a wrong configuration.
const (
	maxViolations = 5   // problems in one message
	maxViolation  = 200 // bytes of each, and of the whole for those who refer to the plugin
)

// violated turns what the schema says into one fault that names the first field.
func (s *source) violated(list []entity.Problem) *fault {
	if list[0].Field == "name" {
		return &fault{
			field: "plugin", reason: fragment.ReasonPluginUnknown, invalid: true,
			message: fmt.Sprintf("the gateway has no plugin %q", s.plugin),
			fix:     "correct the name; the documentation lists the plugins",
		}
	}
	texts := make([]string, 0, len(list))
	for i, p := range list {
		if i == maxViolations {
			texts = append(texts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		texts = append(texts, fragment.Cut(s.field(p)+": "+s.quote(p), maxViolation))
	}
	return &fault{
		field: s.field(list[0]), reason: fragment.ReasonPluginConfigInvalid, invalid: true,
		message: "plugin failed schema validation: " + strings.Join(texts, "; "),
		fix:     "correct the field",
	}
}
