// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"reflect"
	"testing"

	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// oneOwner is a Publisher whose entities are all of one unit.
type oneOwner struct {
	Publisher
	owner fragment.Owner
}

func (p oneOwner) Owner(types.NamespacedName, entity.Key) (fragment.Owner, bool) {
	return p.owner, true
}

// blamed returns whom a rejection of the entity of a vault's unit is told to.
func blamed(e entity.Entity) []fragment.Problem {
	owner := fragment.Owner{Kind: fragment.OwnerVault, Name: "unit"}
	unit := &kongv1alpha1.KongVault{}
	unit.Name = owner.Name
	g := &gatewayState{
		fragments: map[fragment.Owner]fragment.Fragment{owner: {Owner: owner, Entities: []entity.Entity{e}}},
		states:    map[fragment.Owner]*objectState{owner: {ObjectState: store.ObjectState{Owner: owner, Object: unit}}},
	}
	g.fleet.Rejected = []configsync.Rejection{{Key: entity.KeyOf(e), Reason: "not here"}}
	c := &ControlPlane{config: Config{Publisher: oneOwner{owner: owner}}}
	return c.blame(g)
}

// TestRejectionsOfEveryKindAreTold holds that what proxies reject is told to the
// object in the entity's tags, or without such tags to its unit's, whatever the
// kind.
func TestRejectionsOfEveryKindAreTold(t *testing.T) {
	object := fragment.ObjectRef{Group: "configuration.konghq.com", Version: "v1", Kind: "KongPlugin", Namespace: "shop", Name: "limit", UID: "u"}
	for field := range reflect.TypeFor[entity.Set]().Fields() {
		value := reflect.New(field.Type.Elem().Elem())
		e, ok := value.Interface().(entity.Entity)
		if !ok {
			t.Fatalf("%s holds no entities", field.Name)
		}
		want := fragment.ObjectRef{Group: "configuration.konghq.com", Version: "v1alpha1", Kind: "KongVault", Name: "unit"}
		if got := blamed(e); len(got) != 1 || got[0].Object != want || got[0].Reason != reasonRejected {
			t.Errorf("%s without tags: %+v", field.Name, got)
		}
		value.Elem().FieldByName("Tags").Set(reflect.ValueOf(fragment.Tags(object, nil)))
		if got := blamed(e); len(got) != 1 || got[0].Object != object {
			t.Errorf("%s: %+v, want %+v", field.Name, got, object)
		}
	}
}
