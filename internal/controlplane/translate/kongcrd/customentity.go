// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// CustomEntityRef names a KongCustomEntity.
func CustomEntityRef(c *kongv1alpha1.KongCustomEntity) fragment.ObjectRef {
	return fragment.RefOf(kongv1alpha1.GroupVersion.Group, kongv1alpha1.GroupVersion.Version, kongv1alpha1.KongCustomEntityKind, c)
}

// TranslateCustomEntity returns the Kong entities of a KongCustomEntity: a
// certificate, CA certificate or SNI, or a credential of each consumer that the
// parent plugin is attached to.
//
// The object is namespaced, so that it gives credentials to consumers of its own
// namespace only, and to none by id: whoever may write it must not become
// somebody else's consumer. Vaults are for those who may create a KongVault.
func TranslateCustomEntity(c *kongv1alpha1.KongCustomEntity, refs fragment.Refs) fragment.Result {
	t := customEntity{object: c, ref: CustomEntityRef(c), refs: refs}
	t.owner = fragment.Owner{Kind: fragment.OwnerCustomEntity, Namespace: c.Namespace, Name: c.Name}
	fields, bad := decode(c.Spec.Fields.Raw, "spec.fields", "the fields are not a mapping")
	if bad != nil {
		t.refuse(bad.field, bad.message, "write a mapping of the entity's fields")
		return t.result
	}
	kind := entity.Kind(c.Spec.EntityType)
	switch kind {
	case entity.KindCertificate, entity.KindCACertificate, entity.KindSNI:
		t.single(kind, fields)
	case entity.KindVault:
		t.refuse("spec.type", "vaults are not made by a KongCustomEntity, which belongs to one namespace", "create a KongVault")
	case entity.KindService, entity.KindRoute, entity.KindUpstream, entity.KindTarget, entity.KindPlugin, entity.KindConsumer, entity.KindConsumerGroup:
		t.refuse("spec.type", fmt.Sprintf("cannot use known entity type %s in custom entity", kind), "use the kind that stands for it")
	default:
		t.credentials(c.Spec.EntityType, fields)
	}
	return t.result
}

// customEntity is the state of one TranslateCustomEntity call.
type customEntity struct {
	object *kongv1alpha1.KongCustomEntity
	ref    fragment.ObjectRef
	owner  fragment.Owner
	refs   fragment.Refs
	result fragment.Result
}

func (t *customEntity) refuse(field, message, fix string) {
	t.result.Invalid = true
	t.result.Report(t.ref, field, fragment.ReasonCustomEntityInvalid, message+"; the entity is left out", fix)
}

// single adds an entity that belongs to no consumer.
func (t *customEntity) single(kind entity.Kind, fields map[string]any) {
	fields = withDefault(fields, "id", string(fragment.ID(kind, t.owner.String())))
	fields["tags"] = fragment.Tags(t.ref, t.object.Annotations, texts(fields["tags"])...)
	data, err := json.Marshal(fields)
	var e entity.Entity
	if err == nil {
		e, err = entity.UnmarshalEntity(kind, data)
	}
	if err != nil {
		why := strings.TrimPrefix(err.Error(), string(kind)+": json: ") // names fields and types, no values
		t.refuse("spec.fields", fmt.Sprintf("not the fields of %s: %s", kind, why), "correct the names and values of the fields")
		return
	}
	if problems := t.refs.Check(e); len(problems) > 0 {
		t.refuse("spec.fields."+problems[0].Field, problems[0].Message, "correct the field")
		return
	}
	claims, ok := t.identify(e)
	if !ok {
		return
	}
	for _, claim := range claims {
		if !t.claim(claim) {
			return
		}
	}
	t.result.Entities = []entity.Entity{e}
}

// identify gives an entity its id and returns what other units may contend for.
//
// Ids are unique in a whole gateway, while the object belongs to one namespace:
// the id that a certificate or SNI is given there is its name inside the
// namespace only, so that nobody can take the place of somebody else's. CA
// certificates keep their ids, by which plugins of all namespaces name them; the
// oldest has it.
func (t *customEntity) identify(e entity.Entity) (claims []fragment.Claim, ok bool) {
	switch e := e.(type) {
	case *entity.CACertificate:
		return []fragment.Claim{
			{Scope: fragment.ClaimCACertificate, Value: string(e.ID)},
			{Scope: fragment.ClaimCADigest, Value: fragment.CertificateDigest(e.Cert), Data: string(e.ID)},
		}, true
	case *entity.Certificate:
		claim := t.certificate(e.ID)
		e.ID = t.own(entity.KindCertificate, e.ID)
		claim.Data = string(e.ID)
		return []fragment.Claim{claim}, true
	case *entity.SNI:
		brings, found := t.refs.First(t.certificate(e.Certificate.ID))
		if !found {
			t.result.Report(t.ref, "spec.fields.certificate", fragment.ReasonCustomEntityInvalid,
				fmt.Sprintf("no KongCustomEntity of the namespace brings a certificate with the id %s; the entity is left out", e.Certificate.ID),
				"create one of type certificates with this id, or name the Secret in the tls section of an Ingress")
			return nil, false
		}
		e.ID, e.Certificate.ID = t.own(entity.KindSNI, e.ID), entity.ID(brings.Data)
		e.Name = entity.CanonicalServerName(e.Name)
		return []fragment.Claim{{Scope: fragment.ClaimSNI, Value: e.Name, Data: brings.Data}}, true
	}
	return nil, true
}

// certificate is the claim of whoever brings the namespace's certificate with an
// id; its data is the id that the certificate has in the gateway.
func (t *customEntity) certificate(given entity.ID) fragment.Claim {
	return fragment.Claim{Scope: fragment.ClaimCertificateID, Value: t.owner.Namespace + "/" + string(given)}
}

// own returns the id in the gateway of what has an id in the object.
func (t *customEntity) own(kind entity.Kind, given entity.ID) entity.ID {
	name := t.owner.String()
	if given == fragment.ID(kind, name) {
		return given // the default
	}
	return fragment.ID(kind, name+"|"+string(given))
}

// claim claims and reports whether nobody older does.
func (t *customEntity) claim(claim fragment.Claim) bool {
	t.result.Claims = append(t.result.Claims, claim)
	first, ok := t.refs.First(claim)
	if !ok || first.Owner == t.owner {
		return true
	}
	t.result.Report(t.ref, "spec.fields", fragment.ReasonConflict,
		fmt.Sprintf("the older %s brings the same %s; the entity is left out", first.Owner, claim.Scope), "use another one, or remove one of the two")
	return false
}

// credentials adds a credential of each consumer that the parent plugin is
// attached to.
func (t *customEntity) credentials(collection string, fields map[string]any) {
	kind, known := credentialOf(collection)
	if !known {
		t.refuse("spec.type", fmt.Sprintf("the gateway has no entities of type %q", collection),
			"use certificates, ca_certificates, snis or the type of a credential such as keyauth_credentials")
		return
	}
	if _, has := fields["consumer"]; has {
		t.refuse("spec.fields.consumer", "a consumer cannot be named by id", "attach a plugin to the consumer, and name it in spec.parentRef")
		return
	}
	consumers, ok := t.consumers()
	if !ok {
		return
	}
	tags := fragment.Tags(t.ref, t.object.Annotations, texts(fields["tags"])...)
	fields = withDefault(fields, "tags", nil)
	delete(fields, "tags")
	delete(fields, "id")
	if kind.unique != "" && len(consumers) > 1 {
		t.result.Report(t.ref, "spec.parentRef", fragment.ReasonConflict,
			fmt.Sprintf("the plugin is attached to %d consumers, who cannot have the same %s; the entity is left out", len(consumers), kind.unique),
			"use one KongCustomEntity, and plugin, for each consumer")
		return
	}
	for _, consumer := range consumers {
		e := &entity.Credential{
			ID:   fragment.ID(entity.KindCredential, strings.Join([]string{collection, t.owner.String(), string(consumer)}, "/")),
			Type: collection, Consumer: &entity.Ref{ID: consumer}, Fields: fields, Tags: tags,
		}
		if problems := t.refs.Check(e); len(problems) > 0 {
			t.refuse("spec.fields."+problems[0].Field, problems[0].Message, "correct the field")
			t.result.Entities = nil
			return
		}
		if unique, ok := fields[kind.unique].(string); ok && kind.unique != "" {
			if !t.claim(fragment.Claim{Scope: fragment.ClaimCredential, Value: credentialKey(collection, []byte(unique))}) {
				return
			}
		}
		t.result.Entities = append(t.result.Entities, e)
	}
}

// consumers returns the consumers of the entity's namespace that the parent
// plugin is attached to.
func (t *customEntity) consumers() (ids []entity.ID, ok bool) {
	parent := t.object.Spec.ParentRef
	const field = "spec.parentRef"
	if parent == nil {
		t.refuse(field, "a credential needs a consumer", "attach a plugin to the consumer, and name it in spec.parentRef")
		return nil, false
	}
	owner, ok := t.parent(parent, field)
	if !ok {
		return nil, false
	}
	if facts := t.refs.Plugin(owner.Namespace, owner.Name); !facts.Exists {
		t.result.Report(t.ref, field+".name", fragment.ReasonPluginNotFound,
			fmt.Sprintf("plugin %s does not exist; the entity is left out", strings.TrimPrefix(owner.String(), "Plugin ")), "create the plugin, or correct its name")
		return nil, false
	}
	for _, c := range t.refs.Claimants(fragment.Claim{Scope: fragment.ClaimPluginOnConsumer, Value: referenceKey(owner, t.object.Namespace)}) {
		if c.Owner.Namespace == t.object.Namespace {
			ids = append(ids, entity.ID(c.Data))
		}
	}
	if len(ids) == 0 {
		t.result.Report(t.ref, field, fragment.ReasonCustomEntityInvalid,
			"no KongConsumer of the namespace has the plugin attached; the entity is left out", "name the plugin in the consumer's annotation "+fragment.AnnotationPlugins)
		return nil, false
	}
	return ids, true
}

// parent returns the unit of the plugin that the entity is attached to. One in
// another namespace must be permitted by a ReferenceGrant there.
func (t *customEntity) parent(ref *kongv1alpha1.ObjectReference, field string) (fragment.Owner, bool) {
	kind := value(ref.Kind, kindPlugin)
	if value(ref.Group, kongv1.GroupVersion.Group) != kongv1.GroupVersion.Group || kind != kindPlugin && kind != kindClusterPlugin {
		t.refuse(field, "only a KongPlugin or KongClusterPlugin can be the parent", "set group "+kongv1.GroupVersion.Group+" and one of these kinds")
		return fragment.Owner{}, false
	}
	if kind == kindClusterPlugin {
		return PluginOwner("", ref.Name), true
	}
	namespace := cmp.Or(value(ref.Namespace, ""), t.object.Namespace)
	granted := namespace == t.object.Namespace || t.refs.Granted(
		fragment.GrantFrom{Group: t.ref.Group, Kind: t.ref.Kind, Namespace: t.object.Namespace},
		fragment.GrantTo{Group: kongv1.GroupVersion.Group, Kind: kindPlugin, Namespace: namespace, Name: ref.Name})
	if !granted {
		t.result.Report(t.ref, field+".namespace", fragment.ReasonRefNotPermitted,
			fmt.Sprintf("no ReferenceGrant in namespace %s permits the reference to KongPlugin %s; the entity is left out", namespace, ref.Name),
			"create a ReferenceGrant there, or use a plugin of the entity's namespace")
		return fragment.Owner{}, false
	}
	return PluginOwner(namespace, ref.Name), true
}

func value(p *string, absent string) string {
	if p == nil {
		return absent
	}
	return *p
}

// withDefault returns a copy of the fields with one added if it is absent.
func withDefault(fields map[string]any, name string, value any) map[string]any {
	out := make(map[string]any, len(fields)+1)
	out[name] = value
	for k, v := range fields {
		out[k] = v
	}
	return out
}

// texts returns the texts of a list.
func texts(list any) []string {
	var out []string
	if l, ok := schema.Canonical(list).([]any); ok {
		for _, v := range l {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// credentialOf returns the type of the credentials in a collection.
func credentialOf(collection string) (credentialType, bool) {
	for _, t := range credentialTypes {
		if t.collection == collection {
			return t, true
		}
	}
	return credentialType{}, false
}

// credentialKey is the same for credentials with the same unique key, and tells
// nothing about it.
func credentialKey(collection string, key []byte) string {
	sum := sha256.Sum256(key)
	return collection + ":" + hex.EncodeToString(sum[:])
}
