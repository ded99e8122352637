// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"testing"
)

// The ids are those that Kong gave to the same entities.
func TestDeriveIDAsKong(t *testing.T) {
	t.Parallel()
	route := DeriveID(&Route{Name: "r"}, SchemaSet{})
	tests := []struct {
		name   string
		entity Entity
		want   ID
	}{
		{"global plugin", &Plugin{Name: "cors"}, "48ee727e-8b90-5faa-bda1-a3c6bc3c9daa"},
		{"plugin of a route", &Plugin{Name: "acl", Route: &Ref{ID: route}}, "1ef1be64-71fd-5940-80ec-b5cfe513808b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := DeriveID(tt.entity, SchemaSet{}); got != tt.want {
				t.Errorf("DeriveID = %s, want %s", got, tt.want)
			}
		})
	}
}
