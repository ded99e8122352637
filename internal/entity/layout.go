// SPDX-License-Identifier: Apache-2.0

package entity

import "slices"

// layout says how entities of a kind lie in a document.
type layout struct {
	name     string // the field with the entity's unique name, if any
	refs     []refField
	children []childList
}

// refField is a field that names one entity of another kind.
type refField struct {
	name string
	kind Kind
}

// childList is a list nested in an entity, of entities whose field points back.
type childList struct {
	collection string
	field      string
}

// kinds in the order in which ids can be derived: references point backwards.
var kinds = []Kind{
	KindCACertificate, KindCertificate, KindVault, KindConsumerGroup, KindConsumer, KindService,
	KindUpstream, KindRoute, KindSNI, KindTarget, KindCredential, KindPlugin,
}

var layouts = map[Kind]layout{
	KindCACertificate: {},
	KindCertificate: {children: []childList{
		{"snis", "certificate"}, {"services", "client_certificate"}, {"upstreams", "client_certificate"},
	}},
	KindVault:         {name: "prefix"},
	KindConsumerGroup: {name: "name", children: []childList{{"plugins", "consumer_group"}}},
	KindConsumer:      {name: "username", children: []childList{{"plugins", "consumer"}}},
	KindService: {
		name:     "name",
		refs:     []refField{{"client_certificate", KindCertificate}},
		children: []childList{{"routes", "service"}, {"plugins", "service"}},
	},
	KindUpstream: {
		name:     "name",
		refs:     []refField{{"client_certificate", KindCertificate}},
		children: []childList{{"targets", "upstream"}},
	},
	KindRoute: {
		name:     "name",
		refs:     []refField{{"service", KindService}},
		children: []childList{{"plugins", "route"}},
	},
	KindSNI:        {name: "name", refs: []refField{{"certificate", KindCertificate}}},
	KindTarget:     {refs: []refField{{"upstream", KindUpstream}}},
	KindCredential: {refs: []refField{{"consumer", KindConsumer}}},
	KindPlugin: {
		name: "instance_name",
		refs: []refField{
			{"service", KindService}, {"route", KindRoute}, {"consumer", KindConsumer}, {"consumer_group", KindConsumerGroup},
		},
	},
}

// The two lists by which consumers and their groups name each other.
const (
	groupsOfConsumer = "groups"
	consumersOfGroup = "consumers"
)

// collectionKind returns the kind of the entities in a list of that name.
func (s SchemaSet) collectionKind(collection string) (Kind, bool) {
	if _, ok := s.Credential(collection); ok {
		return KindCredential, true
	}
	kind := Kind(collection)
	return kind, kind != KindCredential && slices.Contains(kinds, kind)
}

// child returns the field by which entities in a nested list point to their
// parent.
func (s SchemaSet) child(parent Kind, collection string) (field string, ok bool) {
	for _, c := range layouts[parent].children {
		if c.collection == collection {
			return c.field, true
		}
	}
	if parent == KindConsumer {
		_, ok = s.Credential(collection)
		return "consumer", ok
	}
	return "", false
}

func (l layout) ref(name string) (Kind, bool) {
	for _, r := range l.refs {
		if r.name == name {
			return r.kind, true
		}
	}
	return "", false
}

// uniqueField returns the field whose values are unique among entities of a
// collection and by which others may refer to them, empty when there is none.
func (s SchemaSet) uniqueField(kind Kind, collection string) string {
	if kind == KindCredential {
		return s.credentials[collection].typ.UniqueKey
	}
	return layouts[kind].name
}
