// SPDX-License-Identifier: Apache-2.0

package store

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// restored is what a predecessor published for a unit.
type restored struct {
	uid      types.UID
	entities []entity.Entity
}

// restore remembers a predecessor's fragments: the last good versions of
// objects that are invalid by now. Plugin units have no fragment of their own;
// their template is taken from any plugin that was made from the object.
func (g *graph) restore(fragments []fragment.Fragment) {
	for _, f := range fragments {
		if len(f.Entities) == 0 {
			continue
		}
		g.restored[f.Owner] = restored{f.Object.UID, f.Entities}
		for _, e := range f.Entities {
			p, ok := e.(*entity.Plugin)
			if !ok {
				continue
			}
			o, ok := fragment.ObjectOf(p.Tags)
			if !ok || (o.Kind != string(KindKongPlugin) && o.Kind != string(KindKongClusterPlugin)) {
				continue
			}
			template := *p
			template.ID, template.Service, template.Route, template.Consumer, template.ConsumerGroup = "", nil, nil, nil, nil
			// The suffix that made an instance's name unique is not known here.
			template.InstanceName = ""
			g.restored[kongcrd.PluginOwner(o.Namespace, o.Name)] = restored{o.UID, []entity.Entity{&template}}
		}
	}
}

// result returns what the unit yielded for the predecessor.
func (r restored) result(o fragment.Owner) fragment.Result {
	switch e := r.entities[0].(type) {
	case *entity.Plugin:
		if o.Kind == fragment.OwnerPlugin {
			object, _ := fragment.ObjectOf(e.Tags)
			return fragment.Result{Facts: fragment.PluginFacts{Exists: true, Object: object, Template: e}}
		}
	case *entity.Certificate:
		return fragment.Result{Entities: r.entities, Facts: fragment.CertificateFacts{ID: e.ID}}
	}
	return fragment.Result{Entities: r.entities}
}
