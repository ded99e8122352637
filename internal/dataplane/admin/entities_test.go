// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// An entity that does not say when it was made and changed is as old as it is
// known here, whether it came with a file or in a change.
func TestTimes(t *testing.T) {
	t.Parallel()
	schemas := testSchemas(t)
	clock := time.Unix(1000, 500_000_000)
	entities := NewEntities(func() time.Time { return clock })
	s := New(Options{Entities: entities, Schemas: schemas})
	decoded := func(config string) *entity.Set {
		t.Helper()
		set, problems := entity.Decode([]byte("_format_version: \"3.0\"\n"+config), schemas)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return set
	}
	check := func(path string, created, updated any) {
		t.Helper()
		w, body := s.get(t, http.MethodGet, path, "localhost")
		if w.Code != http.StatusOK || !reflect.DeepEqual(body["created_at"], created) || !reflect.DeepEqual(body["updated_at"], updated) {
			t.Errorf("%s: %d, created_at %v, updated_at %v; want %v, %v", path, w.Code, body["created_at"], body["updated_at"], created, updated)
		}
	}
	const file = `
services:
- {name: kept, host: up.test}
- {name: changed, host: up.test}
- {name: dated, host: up.test, created_at: 7, updated_at: 8}
- {name: half, host: up.test, created_at: 7}
upstreams: [{name: up.test, targets: [{target: "10.0.0.1:80"}]}]
consumers: [{username: alice, keyauth_credentials: [{key: k}]}]
`
	entities.Replace(decoded(file))
	check("/services/kept", 1000.0, 1000.0)
	check("/services/dated", 7.0, 8.0)
	check("/services/half", 7.0, 1000.0)
	check("/upstreams/up.test/targets/10.0.0.1:80", 1000.5, 1000.5)
	credential := "/key-auths/" + string(decoded(file).Credentials[0].ID)
	check(credential, 1000.0, nil) // they have no updated_at

	clock = time.Unix(2000, 0)
	entities.Replace(decoded("services: [{name: kept, host: up.test}, {name: changed, host: other.test}, {name: new, host: up.test}]"))
	check("/services/kept", 1000.0, 1000.0)
	check("/services/changed", 1000.0, 2000.0)
	check("/services/new", 2000.0, 2000.0)

	clock = time.Unix(3000, 0)
	next := decoded("services: [{name: kept, host: up.test}, {name: changed, host: third.test}, {name: new, host: up.test}]").Services
	entities.Update(entity.Delta{Put: []entity.Entity{next[0], next[1]}, Removed: []entity.Key{entity.KeyOf(next[2])}})
	check("/services/kept", 1000.0, 1000.0)
	check("/services/changed", 1000.0, 3000.0)
	clock = time.Unix(4000, 0)
	entities.Update(entity.Delta{Put: []entity.Entity{next[2]}})
	check("/services/new", 4000.0, 4000.0)
	_, list := s.get(t, http.MethodGet, "/services?size=1", "localhost")
	if first := list["data"].([]any)[0].(map[string]any); first["created_at"] == nil {
		t.Errorf("a list shows %v", first)
	}
}
