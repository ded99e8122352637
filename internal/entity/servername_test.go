// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestServerNamesAreUnique(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-4000-8000-00000000000"
	for _, other := range []string{"SHOP.com", "shop.com.", "Shop.Com."} {
		set := &entity.Set{
			Certificates: []*entity.Certificate{{ID: id + "1"}},
			SNIs: []*entity.SNI{
				{ID: id + "2", Name: "shop.com", Certificate: &entity.Ref{ID: id + "1"}},
				{ID: id + "3", Name: other, Certificate: &entity.Ref{ID: id + "1"}},
			},
		}
		got := entity.Problems(entity.CheckSet(set, testSchemas(t))).Error()
		if want := "uniqueness violation: 'snis' entity with name set to 'shop.com' already declared"; !strings.Contains(got, want) {
			t.Errorf("%s beside shop.com: %s", other, got)
		}
	}
}
