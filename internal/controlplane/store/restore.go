// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// restored is what a predecessor published for a unit.
type restored struct {
	uid        types.UID
	generation int64
	entities   []entity.Entity
	plugins    string // annotation
	spec       []byte // of an object without entities
	// uses names the units that brought what the entities refer to.
	uses map[entity.Key]fragment.Owner
}

// restore remembers a predecessor's fragments: the last good versions of
// objects that are invalid by now. Plugin units have no fragment of their own;
// their template is taken from any plugin that was made from the object.
func (g *graph) restore(fragments []fragment.Fragment) {
	owners := make(map[entity.Key]fragment.Owner)
	for _, f := range fragments {
		for _, e := range f.Entities {
			switch e.(type) {
			case *entity.Service, *entity.Certificate, *entity.ConsumerGroup:
				owners[entity.KeyOf(e)] = f.Owner
			}
		}
	}
	for _, f := range fragments {
		if len(f.Entities) == 0 && f.Spec == nil {
			continue
		}
		old := restored{f.Object.UID, f.Generation, f.Entities, f.Plugins, f.Spec, make(map[entity.Key]fragment.Owner)}
		for _, e := range f.Entities {
			for _, key := range references(e) {
				if o, known := owners[key]; known {
					old.uses[key] = o
				}
			}
			if p, ok := e.(*entity.Plugin); ok {
				g.restoreTemplate(p)
			}
		}
		g.restored[f.Owner] = old
	}
}

// references returns what an entity refers to, as far as other units bring it
// that have to be there for it.
func references(e entity.Entity) (keys []entity.Key) {
	switch e := e.(type) {
	case *entity.Route:
		if e.Service != nil {
			keys = append(keys, entity.Key{Kind: entity.KindService, ID: e.Service.ID})
		}
	case *entity.SNI:
		if e.Certificate != nil {
			keys = append(keys, entity.Key{Kind: entity.KindCertificate, ID: e.Certificate.ID})
		}
	case *entity.Consumer:
		for _, group := range e.Groups {
			keys = append(keys, entity.Key{Kind: entity.KindConsumerGroup, ID: group.ID})
		}
	}
	return keys
}

// restoreTemplate remembers the plugin that an instance was made from.
func (g *graph) restoreTemplate(p *entity.Plugin) {
	object, owner, ok := pluginOf(p)
	if !ok {
		return
	}
	template := *p
	template.ID, template.Service, template.Route, template.Consumer, template.ConsumerGroup = "", nil, nil, nil, nil
	if isMerged(p) {
		template = *withoutPath(&template)
	}
	// The suffix that made an instance's name unique is not known here.
	template.InstanceName = ""
	g.restored[owner] = restored{uid: object.UID, entities: []entity.Entity{&template}}
}

// pluginOf returns the object, and the unit of the plugin, that an instance was
// made from; ok is false for those that stand for no such object.
func pluginOf(p *entity.Plugin) (object fragment.ObjectRef, owner fragment.Owner, ok bool) {
	object, ok = fragment.ObjectOf(p.Tags)
	if !ok || (object.Kind != string(KindKongPlugin) && object.Kind != string(KindKongClusterPlugin)) {
		return object, owner, false
	}
	return object, kongcrd.PluginOwner(object.Namespace, object.Name), true
}

// mergedTag is on the request-transformers that the rewrite annotation of an
// object is a part of. Users' tags cannot begin like it.
const mergedTag = "k8s-merged:rewrite"

// isMerged reports whether an instance is marked: its path is not its plugin's.
func isMerged(p *entity.Plugin) bool { return slices.Contains(p.Tags, mergedTag) }

// marked returns the entities with a tag on the instances that are not as their
// plugin is: nobody else's may be made from these after a restart.
func (g *graph) marked(list []entity.Entity) []entity.Entity {
	out := list
	for i, e := range list {
		p, ok := e.(*entity.Plugin)
		if !ok || replacedPath(p) == nil {
			continue
		}
		_, owner, ok := pluginOf(p)
		if n := g.units[owner]; ok && n != nil {
			facts, _ := n.result.Facts.(fragment.PluginFacts)
			if facts.Template == nil || replacedPath(facts.Template) != nil {
				continue
			}
			if &out[0] == &list[0] {
				out = slices.Clone(list)
			}
			merged := *p
			merged.Tags = append(slices.Clone(p.Tags), mergedTag)
			out[i] = &merged
		}
	}
	return out
}
