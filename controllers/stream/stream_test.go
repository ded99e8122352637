// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"errors"
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

var key = types.NamespacedName{Namespace: "kong-istio", Name: "edge"}

type recordingServer struct{ list []configsync.Snapshot }

func (s *recordingServer) Publish(_ configsync.Gateway, snap configsync.Snapshot) error {
	s.list = append(s.list, snap)
	return nil
}
func (*recordingServer) Forget(configsync.Gateway) {}
func (*recordingServer) Facts(configsync.Gateway) server.Facts {
	return server.Facts{Proxies: []server.Proxy{
		{Position: configsync.Position{Term: 2, Sequence: 9}}, {Position: configsync.Position{Term: 2, Sequence: 4}},
	}}
}

func open(t *testing.T, c client.Client, s Server, lease types.NamespacedName) (*Publisher, []fragment.Fragment) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	p := New(Config{Server: s, Reader: c, Writer: c, Lease: lease})
	restored, err := p.Open(ctx, routes.GatewaySpec{Key: key, UID: "uid-1"})
	if err != nil {
		t.Fatal(err)
	}
	return p, restored
}

func fragments() []fragment.Fragment {
	service := &entity.Service{ID: fragment.ID(entity.KindService, "a"), Name: "a", Host: "a.example.com"}
	return []fragment.Fragment{{
		Owner:      fragment.Owner{Kind: fragment.OwnerBackend, Namespace: "shop", Name: "a:80"},
		Object:     fragment.ObjectRef{Version: "v1", Kind: "Service", Namespace: "shop", Name: "a", UID: "uid-2"},
		Generation: 3, Entities: []entity.Entity{service},
	}}
}

// TestSuccessor holds that the next manager finds what was published and goes
// on with higher positions.
func TestSuccessor(t *testing.T) {
	transitions := int32(4)
	lease := types.NamespacedName{Namespace: "system", Name: "lease"}
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: lease.Namespace, Name: lease.Name},
		Spec:       coordinationv1.LeaseSpec{LeaseTransitions: &transitions},
	}).Build()
	s := &recordingServer{}
	first, restored := open(t, c, s, lease)
	if len(restored) != 0 {
		t.Errorf("restored %v from nothing", restored)
	}
	if err := first.Apply(key, fragments(), nil); err != nil {
		t.Fatal(err)
	}
	before, err := first.Publish(key)
	if err != nil || before != (configsync.Position{Term: 5, Sequence: 1}) {
		t.Fatalf("position %v, error %v", before, err)
	}
	if again, err := first.Publish(key); err != nil || again != before || len(s.list) != 1 {
		t.Errorf("without a change: position %v, error %v, %d publications", again, err, len(s.list))
	}
	g := first.gateway(key)
	shards, err := shard.Encode(g.builder.Export(), shard.SecretLimits)
	if err != nil {
		t.Fatal(err)
	}
	for i := range shard.MaxShards { // of a larger snapshot before
		stale := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: shard.SecretName(key.Name, i)}}
		if err := c.Create(context.Background(), stale); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.save(context.Background(), key, g.uid, shards); err != nil {
		t.Fatal(err)
	}
	var secrets corev1.SecretList
	if err := c.List(context.Background(), &secrets); err != nil || len(secrets.Items) != len(shards) {
		t.Fatalf("%d Secrets for %d shards, error %v", len(secrets.Items), len(shards), err)
	}
	if refs := secrets.Items[0].OwnerReferences; len(refs) != 1 || refs[0].UID != "uid-1" {
		t.Errorf("owner references are %v", refs)
	}

	// The Lease was lost meanwhile: its count starts anew.
	next, restored := open(t, c, s, types.NamespacedName{})
	if len(restored) != 1 || restored[0].Object.UID != "uid-2" || restored[0].Generation != 3 || len(restored[0].Entities) != 1 {
		t.Errorf("restored %+v", restored)
	}
	after, err := next.Publish(key)
	if err != nil || after.Compare(before) <= 0 {
		t.Errorf("position %v does not follow %v, error %v", after, before, err)
	}
	next.Ahead(streamGateway(key), configsync.Position{Term: 40, Sequence: 7})
	if last := s.list[len(s.list)-1].Position; last.Term != 41 {
		t.Errorf("after a proxy was ahead: position %v", last)
	}
	if f := next.Fleet(key); f.Acknowledged.Sequence != 4 {
		t.Errorf("acknowledged %v", f.Acknowledged)
	}
	next.Close(key)
	if err := next.Apply(key, nil, nil); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestDamagedSnapshotIsNotFatal(t *testing.T) {
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: shard.SecretName(key.Name, 0)},
		Data:       map[string][]byte{shard.SecretKey: []byte("torn")},
	}).Build()
	if _, restored := open(t, c, &recordingServer{}, types.NamespacedName{}); len(restored) != 0 {
		t.Errorf("restored %v", restored)
	}
}

func TestTooLargeIsReported(t *testing.T) {
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).Build()
	told := 0
	p, _ := open(t, c, &recordingServer{}, types.NamespacedName{})
	p.config.OnSaved = func(types.NamespacedName) { told++ }
	g := p.gateway(key)
	p.savedWith(key, g, nil)
	p.savedWith(key, g, fmt.Errorf("write: %w", &shard.TooLargeError{Bytes: 10, Limit: 5}))
	if p.TooLarge(key) == "" || told != 1 {
		t.Errorf("text %q, told %d times", p.TooLarge(key), told)
	}
	p.savedWith(key, g, nil)
	if p.TooLarge(key) != "" || told != 2 {
		t.Errorf("text %q, told %d times", p.TooLarge(key), told)
	}
}
