// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// ConsumerRef names a KongConsumer.
func ConsumerRef(c *kongv1.KongConsumer) fragment.ObjectRef {
	return fragment.RefOf(kongv1.GroupVersion.Group, kongv1.GroupVersion.Version, "KongConsumer", c)
}

// ConsumerGroupRef names a KongConsumerGroup.
func ConsumerGroupRef(g *kongv1beta1.KongConsumerGroup) fragment.ObjectRef {
	return fragment.RefOf(kongv1beta1.GroupVersion.Group, kongv1beta1.GroupVersion.Version, "KongConsumerGroup", g)
}

// TranslateConsumer returns the Kong consumer of a KongConsumer, its
// credentials and the plugins attached to it.
func TranslateConsumer(c *kongv1.KongConsumer, refs fragment.Refs) fragment.Result {
	t := consumerTranslation{
		object: c, ref: ConsumerRef(c), refs: refs,
		owner: fragment.Owner{Kind: fragment.OwnerConsumer, Namespace: c.Namespace, Name: c.Name},
	}
	if c.Username == "" && c.CustomID == "" {
		t.result.Invalid = true
		t.result.Report(t.ref, "username", fragment.ReasonConsumerInvalid,
			"no username or custom_id specified; the consumer is left out", "set username or custom_id")
		return t.result
	}
	t.consumer()
	t.credentials()
	unique := t.unique("username", fragment.ClaimConsumerName, c.Username)
	unique = t.unique("custom_id", fragment.ClaimConsumerCustomID, c.CustomID) && unique
	if !unique || t.conflicting {
		t.result.Entities = nil
		return t.result
	}
	from := Referrer{Object: t.ref, Annotations: c.Annotations, Refs: refs}
	Attach(from, fragment.ClaimPluginOnConsumer, []Attachment{{Consumer: t.id}}, &t.result)
	return t.result
}

// consumerTranslation is the state of one TranslateConsumer call.
type consumerTranslation struct {
	object      *kongv1.KongConsumer
	ref         fragment.ObjectRef
	owner       fragment.Owner
	refs        fragment.Refs
	id          entity.ID
	conflicting bool
	result      fragment.Result
}

// consumer adds the consumer with its groups.
func (t *consumerTranslation) consumer() {
	c := t.object
	key := c.Username
	if key == "" {
		key = "custom_id:" + c.CustomID
	}
	t.id = fragment.ID(entity.KindConsumer, key)
	e := &entity.Consumer{ID: t.id, Username: c.Username, CustomID: c.CustomID, Tags: fragment.Tags(t.ref, c.Annotations)}
	for i, name := range c.ConsumerGroups {
		group := t.refs.ConsumerGroup(c.Namespace, name)
		if group.ID == "" {
			t.result.Report(t.ref, fmt.Sprintf("consumerGroups[%d]", i), fragment.ReasonGroupNotFound,
				fmt.Sprintf("nonexistent consumer group: %q", name), "create a KongConsumerGroup of the gateway's class, or correct the name")
			continue
		}
		e.Groups = append(e.Groups, entity.Ref{ID: group.ID})
	}
	for _, p := range t.refs.Check(e) {
		t.result.Invalid = true
		t.result.Report(t.ref, p.Field, fragment.ReasonConsumerInvalid, p.Message+"; the consumer is left out", "correct the field")
	}
	t.result.Entities = append(t.result.Entities, e)
}

// unique claims a name and reports whether no older consumer has it.
func (t *consumerTranslation) unique(field string, scope fragment.ClaimScope, value string) bool {
	if value == "" {
		return true
	}
	claim := fragment.Claim{Scope: scope, Value: value}
	t.result.Claims = append(t.result.Claims, claim)
	first, ok := t.refs.First(claim)
	if !ok || first.Owner == t.owner {
		return true
	}
	t.result.Report(t.ref, field, fragment.ReasonConflict,
		fmt.Sprintf("consumer already exists: the older %s has the same %s; this consumer is left out", first.Owner, field),
		"choose another "+field)
	return false
}

// TranslateConsumerGroup returns the Kong consumer group of a KongConsumerGroup
// and the plugins attached to it. The group's name is the object's.
func TranslateConsumerGroup(g *kongv1beta1.KongConsumerGroup, refs fragment.Refs) fragment.Result {
	var result fragment.Result
	ref := ConsumerGroupRef(g)
	owner := fragment.Owner{Kind: fragment.OwnerConsumerGroup, Namespace: g.Namespace, Name: g.Name}
	claim := fragment.Claim{Scope: fragment.ClaimGroupName, Value: g.Name}
	result.Claims = []fragment.Claim{claim}
	if first, ok := refs.First(claim); ok && first.Owner != owner {
		result.Report(ref, "metadata.name", fragment.ReasonConflict,
			fmt.Sprintf("the older %s has the same name; this group is left out", first.Owner), "choose another name")
		result.Facts = fragment.GroupFacts{}
		return result
	}
	id := fragment.ID(entity.KindConsumerGroup, g.Name)
	result.Entities = []entity.Entity{&entity.ConsumerGroup{ID: id, Name: g.Name, Tags: fragment.Tags(ref, g.Annotations)}}
	result.Facts = fragment.GroupFacts{ID: id}
	from := Referrer{Object: ref, Annotations: g.Annotations, Refs: refs}
	Attach(from, fragment.ClaimPluginOnGroup, []Attachment{{ConsumerGroup: id}}, &result)
	return result
}
