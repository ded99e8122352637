// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// BenchmarkCheckEntity checks entities as a control plane makes them.
func BenchmarkCheckEntity(b *testing.B) {
	yes, tags := true, []string{"k8s-name:app-1", "k8s-namespace:shop-0", "k8s-kind:Ingress", "k8s-group:networking.k8s.io", "k8s-version:v1"}
	ref := &entity.Ref{ID: testID}
	for _, e := range []entity.Entity{
		&entity.Service{ID: testID, Name: "shop-0.backend-1.80", Host: "backend-1.shop-0.80.svc", Tags: tags},
		&entity.Route{
			ID: testID, Name: "shop-0.app-1.backend-1.app-1.example.com.80", Service: ref, Hosts: []string{"app-1.example.com"},
			Paths: []string{"/api/v1/", "~/api/v1$", "~/healthz$"}, StripPath: &yes, PreserveHost: &yes, Tags: tags,
		},
		&entity.Upstream{ID: testID, Name: "backend-1.shop-0.80.svc", Tags: tags},
		&entity.Consumer{ID: testID, Username: "user-1", CustomID: "customer-1", Tags: tags},
		&entity.Credential{ID: testID, Type: "keys", Consumer: ref, Fields: map[string]any{"key": "0123456789"}, Tags: tags},
		&entity.Plugin{ID: testID, Name: "limit", Route: ref, Config: map[string]any{"minute": 600}, Tags: tags},
		&entity.SNI{ID: testID, Name: "app-1.example.com", Certificate: ref, Tags: tags},
	} {
		b.Run(string(e.EntityKind()), func(b *testing.B) {
			schemas := testSchemas(b)
			b.ReportAllocs()
			for b.Loop() {
				if problems := entity.CheckEntity(e, schemas); len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}
