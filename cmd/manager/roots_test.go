// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/streamca"
)

// TestRootsRotateWithTheShippedRoles holds that the manager may create the Secret with the stream's roots and rotate
// what is in it, with no right but those of config/rbac.
func TestRootsRotateWithTheShippedRoles(t *testing.T) {
	writer, err := client.New(managerConfig(t), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	name := types.NamespacedName{Namespace: managerNamespace, Name: streamRoots}
	t.Cleanup(func() {
		s := &corev1.Secret{}
		s.Namespace, s.Name = name.Namespace, name.Name
		if err := client.IgnoreNotFound(kube.Delete(context.WithoutCancel(t.Context()), s)); err != nil {
			t.Error(err)
		}
	})
	bundles := map[string]bool{}
	authority := streamca.New(streamca.Config{
		Store:       &streamca.SecretStore{Reader: writer, Writer: writer, Name: name},
		ServerNames: []string{"manager.test"}, OnBundle: func(pem []byte) { bundles[string(pem)] = true },
	})
	versions := map[string]bool{}
	for now, end := time.Now(), time.Now().AddDate(2, 0, 0); now.Before(end) && len(versions) < 3; {
		next, err := authority.Step(t.Context(), now)
		if err != nil {
			t.Fatalf("at %s: %v", now, err)
		}
		s := &corev1.Secret{}
		if err := kube.Get(t.Context(), name, s); err != nil {
			t.Fatal(err)
		}
		versions[s.ResourceVersion] = true
		now = next
	}
	if len(versions) < 3 || len(bundles) < 2 {
		t.Errorf("in two years %d versions of the Secret and %d bundles", len(versions), len(bundles))
	}
}
