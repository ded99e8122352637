// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/controlplane/snapshot"
	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
	"github.com/kong/kong-istio-gateway/test/scale/population"
)

// Gateway is the one whose class everything is of.
var Gateway = types.NamespacedName{Namespace: "kong-istio", Name: "edge"}

// Objects are the objects of a population as the caches of a manager hold them.
type Objects struct {
	List    []client.Object
	Secrets map[types.NamespacedName]*corev1.Secret
	version int64
}

// NewObjects makes a population.
func NewObjects(size population.Size) (*Objects, error) {
	secrets, err := size.Secrets()
	if err != nil {
		return nil, err
	}
	o := &Objects{List: size.Objects(), Secrets: make(map[types.NamespacedName]*corev1.Secret, len(secrets))}
	for _, x := range o.List {
		o.Stamp(x)
	}
	for _, s := range secrets {
		o.Stamp(s)
		o.Secrets[client.ObjectKeyFromObject(s)] = s
	}
	return o, nil
}

// Stamp does what an API server does to each version of an object.
func (o *Objects) Stamp(x client.Object) {
	o.version++
	x.SetGeneration(o.version)
	x.SetResourceVersion(fmt.Sprint(o.version))
	x.SetUID(types.UID(entity.NewID(fmt.Sprintf("%T", x), x.GetNamespace()+"/"+x.GetName())))
}

// Translation compiles objects to a snapshot. It is used by one goroutine.
type Translation struct {
	Store   *store.Store
	Builder *snapshot.Builder
	objects *Objects
	// Changed and Removed count the fragments of the last Settle.
	Changed, Removed int
}

// NewTranslation returns a translation that knows no object yet.
func NewTranslation(objects *Objects, meshed bool) *Translation {
	t := &Translation{Store: store.New(schemas.All()), Builder: snapshot.NewBuilder(1), objects: objects}
	t.Store.SetGateway(Gateway, fragment.Settings{Class: population.Class, Mesh: meshed, LocalRefused: true})
	return t
}

// Feed puts every object in, as informers do.
func (t *Translation) Feed() {
	for _, x := range t.objects.List {
		t.Store.Set(x)
	}
}

// Settle translates until nothing is left to do and returns the snapshot.
func (t *Translation) Settle() (configsync.Snapshot, error) {
	t.Changed, t.Removed = 0, 0
	for {
		for _, d := range t.Store.Deliver() {
			t.Changed += len(d.Changed)
			t.Removed += len(d.Removed)
			if err := t.Builder.Apply(d.Changed, d.Removed); err != nil {
				return configsync.Snapshot{}, err
			}
		}
		wanted := t.Store.WantedSecrets()
		if len(wanted) == 0 {
			snap, _ := t.Builder.Snapshot()
			return snap, nil
		}
		for _, r := range wanted {
			t.Store.AnswerSecret(r, t.objects.Secrets[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}])
		}
	}
}

// SetSecret replaces a Secret and tells so, as the watch of metadata does.
func (t *Translation) SetSecret(s *corev1.Secret) {
	t.objects.Stamp(s)
	t.objects.Secrets[client.ObjectKeyFromObject(s)] = s
	t.Store.SecretChanged(s.Namespace, s.Name)
}

// DeleteSecret deletes a Secret.
func (t *Translation) DeleteSecret(key types.NamespacedName) {
	delete(t.objects.Secrets, key)
	t.Store.SecretDeleted(key.Namespace, key.Name)
}

// Set replaces an object.
func (t *Translation) Set(x client.Object) {
	t.objects.Stamp(x)
	t.Store.Set(x)
}
