// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// view is what a translator sees of the cluster while an object is judged: the
// object as it would be, Secrets and contenders as they are, and everything else
// as if it existed. Errors of the Lookup are kept for the end.
type view struct {
	settings fragment.Settings
	schemas  entity.SchemaSet
	lookup   Lookup
	// self is the object that is being judged: it does not contend with itself.
	self fragment.Owner
	// secret and service, if set, are the versions that are being judged.
	secret  *corev1.Secret
	service *corev1.Service
	// attached is a namespace in which every plugin is attached to a consumer.
	attached string
	// certified says that every certificate that an SNI names exists.
	certified bool
	// alone says that nobody contends with the object.
	alone bool
	// keys are the credentials of the Secrets that were looked at.
	keys map[string][]types.NamespacedName
	err  error
}

func (v *view) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

// Settings implements fragment.Refs.
func (v *view) Settings() fragment.Settings { return v.settings }

// Check implements fragment.Refs.
func (v *view) Check(e entity.Entity) []entity.Problem { return entity.CheckEntity(e, v.schemas) }

// Runs implements fragment.Refs.
func (v *view) Runs(p *entity.Plugin, _ []entity.Protocol) (runs, guards bool) {
	of, known := v.schemas.Plugin(p.Name)
	return true, !known || of.Guards
}

// Vaults implements fragment.Refs: a vault may be created after what refers to it.
func (v *view) Vaults(*entity.Plugin, func(field, vault string)) {}

// Secret implements fragment.Refs.
func (v *view) Secret(namespace, name string) *corev1.Secret {
	secret := v.secret
	if secret == nil || secret.Namespace != namespace || secret.Name != name {
		var err error
		if secret, err = v.lookup.Secret(namespace, name); err != nil {
			v.fail(err)
			return nil
		}
	}
	if secret != nil && !v.alone {
		if key := CredentialKey(secret, v.schemas); key != "" {
			if v.keys == nil {
				v.keys = make(map[string][]types.NamespacedName)
			}
			v.keys[key] = append(v.keys[key], types.NamespacedName{Namespace: namespace, Name: name})
		}
	}
	return secret
}

// Service implements fragment.Refs.
func (v *view) Service(namespace, name string) *corev1.Service {
	if s := v.service; s != nil && s.Namespace == namespace && s.Name == name {
		return s
	}
	return nil
}

// EndpointSlices implements fragment.Refs.
func (v *view) EndpointSlices(string, string) []*discoveryv1.EndpointSlice { return nil }

// ConfigMap implements fragment.Refs.
func (v *view) ConfigMap(string, string) *corev1.ConfigMap { return nil }

// KongIngress implements fragment.Refs.
func (v *view) KongIngress(string, string) fragment.PolicyFacts { return fragment.PolicyFacts{} }

// UpstreamPolicy implements fragment.Refs.
func (v *view) UpstreamPolicy(string, string) fragment.PolicyFacts { return fragment.PolicyFacts{} }

// Granted implements fragment.Refs.
func (v *view) Granted(fragment.GrantFrom, fragment.GrantTo) bool { return true }

// Backend implements fragment.Refs.
func (v *view) Backend(key fragment.BackendKey) fragment.BackendFacts {
	return fragment.BackendFacts{Service: fragment.ID(entity.KindService, key.Owner().String())}
}

// Certificate implements fragment.Refs.
func (v *view) Certificate(namespace, secret string) fragment.CertificateFacts {
	return fragment.CertificateFacts{ID: fragment.ID(entity.KindCertificate, namespace+"/"+secret)}
}

// CACertificate implements fragment.Refs.
func (v *view) CACertificate(namespace, secret string) fragment.CertificateFacts {
	return fragment.CertificateFacts{ID: fragment.ID(entity.KindCACertificate, namespace+"/"+secret)}
}

// CAConfigMap implements fragment.Refs.
func (v *view) CAConfigMap(namespace, name string) fragment.CertificateFacts {
	return v.CACertificate(namespace, name)
}

// Plugin implements fragment.Refs. What refers to a plugin is not judged by it.
func (v *view) Plugin(string, string) fragment.PluginFacts { return fragment.PluginFacts{Exists: true} }

// ConsumerGroup implements fragment.Refs.
func (v *view) ConsumerGroup(namespace, name string) fragment.GroupFacts {
	return fragment.GroupFacts{ID: fragment.ID(entity.KindConsumerGroup, namespace+"/"+name)}
}

// First implements fragment.Refs.
func (v *view) First(c fragment.Claim) (fragment.Claimant, bool) {
	if list := v.Claimants(c); len(list) > 0 {
		return list[0], true
	}
	return fragment.Claimant{}, false
}

// Claimed implements fragment.Refs.
func (v *view) Claimed(c fragment.Claim) bool { return len(v.Claimants(c)) > 0 }

// Claimants implements fragment.Refs: the other objects of the class, which are
// there already.
func (v *view) Claimants(c fragment.Claim) []fragment.Claimant {
	if v.alone {
		return nil
	}
	list := v.all(c)
	return slices.DeleteFunc(list, func(other fragment.Claimant) bool { return other.Owner == v.self })
}

func (v *view) all(c fragment.Claim) []fragment.Claimant {
	switch c.Scope {
	case fragment.ClaimConsumerName:
		return v.consumers(func(o *kongv1.KongConsumer) bool { return o.Username == c.Value })
	case fragment.ClaimConsumerCustomID:
		return v.consumers(func(o *kongv1.KongConsumer) bool { return o.CustomID == c.Value })
	case fragment.ClaimCredential:
		return v.holders(c.Value)
	case fragment.ClaimGroupName:
		return v.groups(c.Value)
	case fragment.ClaimPluginOnConsumer:
		if v.attached == "" {
			return nil
		}
		owner := fragment.Owner{Kind: fragment.OwnerConsumer, Namespace: v.attached}
		return []fragment.Claimant{{Owner: owner, Data: string(fragment.ID(entity.KindConsumer, owner.String()))}}
	case fragment.ClaimCertificateID:
		if !v.certified {
			return nil
		}
		return []fragment.Claimant{{Owner: fragment.Owner{Kind: fragment.OwnerCustomEntity, Namespace: v.self.Namespace}, Data: c.Value}}
	case fragment.ClaimVaultPrefix:
		return v.vaults(c.Value)
	case fragment.ClaimGlobalPlugin:
		return v.globalPlugins(c.Value)
	}
	return nil
}

func (v *view) consumers(match func(*kongv1.KongConsumer) bool) []fragment.Claimant {
	list, err := v.lookup.Consumers()
	if err != nil {
		v.fail(err)
	}
	var out []fragment.Claimant
	for _, o := range list {
		if v.settings.Owns(o.Annotations, nil) && match(o) {
			out = append(out, fragment.Claimant{Owner: consumerOwner(o), Created: o.CreationTimestamp.Time})
		}
	}
	return out
}

// holders returns the consumers that list a Secret with the credential.
func (v *view) holders(key string) []fragment.Claimant {
	secrets, err := v.lookup.SameCredential(key)
	if err != nil {
		v.fail(err)
	}
	if v.secret != nil { // what was known of it is of its earlier version
		secrets = slices.DeleteFunc(slices.Clone(secrets), func(n types.NamespacedName) bool {
			return n.Namespace == v.secret.Namespace && n.Name == v.secret.Name
		})
	}
	secrets = append(secrets[:len(secrets):len(secrets)], v.keys[key]...)
	return v.consumers(func(o *kongv1.KongConsumer) bool {
		return slices.ContainsFunc(secrets, func(n types.NamespacedName) bool {
			return n.Namespace == o.Namespace && slices.Contains(o.Credentials, n.Name)
		})
	})
}

func (v *view) groups(name string) []fragment.Claimant {
	list, err := v.lookup.ConsumerGroups()
	if err != nil {
		v.fail(err)
	}
	var out []fragment.Claimant
	for _, o := range list {
		if o.Name == name && v.settings.Owns(o.Annotations, nil) {
			owner := fragment.Owner{Kind: fragment.OwnerConsumerGroup, Namespace: o.Namespace, Name: o.Name}
			out = append(out, fragment.Claimant{Owner: owner, Created: o.CreationTimestamp.Time})
		}
	}
	return out
}

func (v *view) vaults(prefix string) []fragment.Claimant {
	list, err := v.lookup.Vaults()
	if err != nil {
		v.fail(err)
	}
	var out []fragment.Claimant
	for _, o := range list {
		if o.Spec.Prefix == prefix && v.settings.Owns(o.Annotations, nil) {
			out = append(out, fragment.Claimant{Owner: fragment.Owner{Kind: fragment.OwnerVault, Name: o.Name}, Created: o.CreationTimestamp.Time})
		}
	}
	return out
}

func (v *view) globalPlugins(plugin string) []fragment.Claimant {
	list, err := v.lookup.ClusterPlugins()
	if err != nil {
		v.fail(err)
	}
	var out []fragment.Claimant
	for _, o := range list {
		if o.PluginName == plugin && kongcrd.IsGlobal(o) && v.settings.Owns(o.Annotations, nil) {
			out = append(out, fragment.Claimant{Owner: fragment.Owner{Kind: fragment.OwnerGlobalPlugin, Name: o.Name}, Created: o.CreationTimestamp.Time})
		}
	}
	return out
}

func consumerOwner(o *kongv1.KongConsumer) fragment.Owner {
	return fragment.Owner{Kind: fragment.OwnerConsumer, Namespace: o.Namespace, Name: o.Name}
}
