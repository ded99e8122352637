// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// version returns the version of an object that a predecessor translated, made
// from what came of it: translated again it looks at what there is now, like
// any last good version. What the entities do not tell, such as the class and
// the parent of a KongCustomEntity, is that of the present version. It is nil
// for objects with routes, see revive, and if there was nothing but markers.
func (old restored) version(now client.Object) client.Object {
	var v client.Object
	switch now := now.(type) {
	case *corev1.Secret:
		v = old.secret(now)
	case *kongv1.KongPlugin:
		v = old.plugin(now)
	case *kongv1.KongClusterPlugin:
		v = old.clusterPlugin(now)
	case *kongv1beta1.KongUpstreamPolicy:
		v = old.upstreamPolicy(now)
	case *kongv1.KongIngress:
		v = old.kongIngress(now)
	case *kongv1.KongConsumer:
		v = old.consumer(now)
	case *kongv1alpha1.KongVault:
		v = old.vault(now)
	case *kongv1alpha1.KongCustomEntity:
		v = old.customEntity(now)
	}
	if v != nil {
		v.SetGeneration(old.generation)
	}
	return v
}

func (old restored) secret(now *corev1.Secret) client.Object {
	e, ok := old.entities[0].(*entity.Certificate)
	if !ok {
		return nil
	}
	v := now.DeepCopy()
	v.Annotations = annotations(now, e.Tags)
	v.Data = map[string][]byte{corev1.TLSCertKey: []byte(e.Cert), corev1.TLSPrivateKeyKey: []byte(e.Key)}
	return v
}

func (old restored) plugin(now *kongv1.KongPlugin) client.Object {
	e, ok := old.entities[0].(*entity.Plugin)
	if !ok {
		return nil
	}
	v := now.DeepCopy()
	v.Annotations = annotations(now, e.Tags)
	v.PluginName, v.InstanceName, v.Disabled = e.Name, e.InstanceName, e.Enabled != nil && !*e.Enabled
	v.Config.Raw, v.ConfigFrom, v.ConfigPatches = encode(e.Config), nil, nil
	v.Protocols = protocols(e)
	v.Ordering = nil
	if e.Ordering != nil {
		v.Ordering = fresh(v.Ordering)
		v.Ordering.Before, v.Ordering.After = e.Ordering.Before, e.Ordering.After
	}
	return v
}

// clusterPlugin differs from plugin in what it takes from Secrets, of which
// nothing is left.
func (old restored) clusterPlugin(now *kongv1.KongClusterPlugin) client.Object {
	p, ok := old.plugin(&kongv1.KongPlugin{ObjectMeta: now.ObjectMeta}).(*kongv1.KongPlugin)
	if !ok {
		return nil
	}
	v := now.DeepCopy()
	v.Annotations, v.PluginName, v.InstanceName, v.Disabled = p.Annotations, p.PluginName, p.InstanceName, p.Disabled
	v.Config, v.ConfigFrom, v.ConfigPatches = p.Config, nil, nil
	v.Protocols, v.Ordering = p.Protocols, p.Ordering
	return v
}

func (old restored) consumer(now *kongv1.KongConsumer) client.Object {
	v := now.DeepCopy()
	v.Username, v.CustomID, v.Credentials, v.ConsumerGroups = "", "", nil, nil
	var tags []string
	for _, e := range old.entities {
		switch e := e.(type) {
		case *entity.Consumer:
			tags = e.Tags
			v.Username, v.CustomID = e.Username, e.CustomID
			for _, key := range references(e) {
				if group, ok := old.uses[key]; ok {
					v.ConsumerGroups = append(v.ConsumerGroups, group.Name)
				}
			}
		case *entity.Credential:
			if secret, ok := fragment.ObjectOf(e.Tags); ok {
				v.Credentials = append(v.Credentials, secret.Name)
			}
		}
	}
	v.Annotations = annotations(now, tags)
	v.Annotations[fragment.AnnotationPlugins] = old.plugins
	return v
}

func (old restored) upstreamPolicy(now *kongv1beta1.KongUpstreamPolicy) client.Object {
	spec := new(kongv1beta1.KongUpstreamPolicySpec)
	if json.Unmarshal(old.spec, spec) != nil {
		return nil
	}
	v := now.DeepCopy()
	v.Spec = *spec
	return v
}

func (old restored) kongIngress(now *kongv1.KongIngress) client.Object {
	upstream := new(kongv1.KongIngressUpstream)
	if json.Unmarshal(old.spec, upstream) != nil {
		return nil
	}
	v := now.DeepCopy()
	v.Upstream = upstream
	return v
}

func (old restored) vault(now *kongv1alpha1.KongVault) client.Object {
	e, ok := old.entities[0].(*entity.Vault)
	if !ok {
		return nil
	}
	v := now.DeepCopy()
	v.Annotations = annotations(now, e.Tags)
	v.Spec.Backend, v.Spec.Prefix, v.Spec.Description, v.Spec.Tags = e.Name, e.Prefix, e.Description, nil
	v.Spec.Config.Raw = encode(e.Config)
	return v
}

// customEntity keeps the ids that the present version gives certificates and
// SNIs: what entities have is not always what was written.
func (old restored) customEntity(now *kongv1alpha1.KongCustomEntity) client.Object {
	v := now.DeepCopy()
	var fields, given map[string]any
	if json.Unmarshal(now.Spec.Fields.Raw, &given) != nil {
		given = nil
	}
	switch e := old.entities[0].(type) {
	case *entity.Credential:
		v.Spec.EntityType, fields = e.Type, maps.Clone(e.Fields)
		v.Annotations = annotations(now, e.Tags)
	case *entity.Certificate, *entity.SNI, *entity.CACertificate:
		data, err := entity.MarshalEntity(e)
		if err != nil || json.Unmarshal(data, &fields) != nil {
			return nil
		}
		v.Spec.EntityType = string(e.EntityKind())
		v.Annotations = annotations(now, entity.Tags(e))
		if e.EntityKind() != entity.KindCACertificate {
			delete(fields, "id")
			for _, name := range []string{"id", "certificate"} {
				if own, ok := given[name]; ok {
					fields[name] = own
				}
			}
		}
	default:
		return nil
	}
	delete(fields, "tags")
	v.Spec.Fields.Raw = encode(fields)
	return v
}

// annotations returns the annotations of an object with the class of its
// present version and the user's tags of an entity.
func annotations(now client.Object, tags []string) map[string]string {
	out := make(map[string]string)
	if class := now.GetAnnotations()[fragment.AnnotationClass]; class != "" {
		out[fragment.AnnotationClass] = class
	}
	if i := slices.Index(tags, fragment.ManagedTag); i >= 0 && i+1 < len(tags) {
		out[fragment.AnnotationTags] = strings.Join(tags[i+1:], ",")
	}
	return out
}

func protocols(p *entity.Plugin) (out []kongv1.KongProtocol) {
	for _, protocol := range p.Protocols {
		out = append(out, kongv1.KongProtocol(protocol))
	}
	return out
}

// encode returns the JSON of a configuration, nothing for none.
func encode(config map[string]any) []byte {
	if config == nil {
		return nil
	}
	data, err := schema.EncodeJSON(config)
	if err != nil {
		return nil // it was encoded before it was published
	}
	return data
}

// fresh returns a new value of the type that p points to.
func fresh[T any](_ *T) *T { return new(T) }
