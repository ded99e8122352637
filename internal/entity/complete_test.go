// SPDX-License-Identifier: Apache-2.0

package entity_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

const testID = "00000000-0000-4000-8000-000000000001"

// Kong's defaults: an object created with only what is required.
func TestCompleteDefaults(t *testing.T) {
	t.Parallel()
	ref := &entity.Ref{ID: testID}
	tests := []struct {
		name   string
		sparse entity.Entity
		want   string
	}{
		{"service", &entity.Service{ID: testID, Host: "a"}, `{"id":"` + testID + `","host":"a","port":80,"protocol":"http","retries":5,` +
			`"connect_timeout":60000,"write_timeout":60000,"read_timeout":60000,"enabled":true}`},
		{"route", &entity.Route{ID: testID, Paths: []string{"/"}}, `{"id":"` + testID + `","protocols":["http","https"],"paths":["/"],` +
			`"https_redirect_status_code":426,"regex_priority":0,"strip_path":true,"path_handling":"v0","preserve_host":false,` +
			`"request_buffering":true,"response_buffering":true}`},
		{"gRPC route", &entity.Route{ID: testID, Protocols: []entity.Protocol{"grpc"}, Paths: []string{"/"}}, `{"id":"` + testID +
			`","protocols":["grpc"],"paths":["/"],"https_redirect_status_code":426,"regex_priority":0,"strip_path":false,` +
			`"path_handling":"v0","preserve_host":false,"request_buffering":true,"response_buffering":true}`},
		{"upstream", &entity.Upstream{ID: testID, Name: "u"}, `{"id":"` + testID + `","name":"u","algorithm":"round-robin","slots":10000,` +
			`"hash_on":"none","hash_fallback":"none","hash_on_cookie_path":"/","healthchecks":{"threshold":0,` +
			`"active":{"type":"http","timeout":1,"concurrency":10,"http_path":"/","https_verify_certificate":true,` +
			`"healthy":{"interval":0,"successes":0,"http_statuses":[200,302]},` +
			`"unhealthy":{"interval":0,"tcp_failures":0,"http_failures":0,"timeouts":0,"http_statuses":[429,404,500,501,502,503,504,505]}},` +
			`"passive":{"type":"http","healthy":{"successes":0,"http_statuses":[200,201,202,203,204,205,206,207,208,226,300,301,302,303,304,305,306,307,308]},` +
			`"unhealthy":{"tcp_failures":0,"http_failures":0,"timeouts":0,"http_statuses":[429,500,503]}}},"use_srv_name":false}`},
		{"target", &entity.Target{ID: testID, Upstream: ref, Target: "a"}, `{"id":"` + testID + `","upstream":{"id":"` + testID +
			`"},"target":"a:8000","weight":100}`},
		{"IPv6 target", &entity.Target{ID: testID, Upstream: ref, Target: "::1"}, `{"id":"` + testID + `","upstream":{"id":"` + testID +
			`"},"target":"[::1]:8000","weight":100}`},
		{"plugin", &entity.Plugin{ID: testID, Name: "auth"}, `{"id":"` + testID + `","name":"auth","config":{"hide":false},` +
			`"protocols":["grpc","grpcs","http","https"],"enabled":true}`},
		{"credential", &entity.Credential{ID: testID, Type: "acls", Consumer: ref, Fields: map[string]any{"group": "g"}},
			`{"id":"` + testID + `","type":"acls","consumer":{"id":"` + testID + `"},"fields":{"group":"g"}}`},
		{"consumer", &entity.Consumer{ID: testID, Username: "u"}, `{"id":"` + testID + `","username":"u"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before, err := entity.MarshalEntity(tt.sparse)
			if err != nil {
				t.Fatal(err)
			}
			full, err := entity.Complete(tt.sparse, testSchemas(t))
			if err != nil {
				t.Fatal(err)
			}
			got, err := entity.MarshalEntity(full)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if after, _ := entity.MarshalEntity(tt.sparse); string(after) != string(before) {
				t.Errorf("Complete changed its input to %s", after)
			}
			again, err := entity.Complete(full, testSchemas(t))
			if err != nil || !reflect.DeepEqual(again, full) {
				t.Errorf("Complete is not idempotent: %+v, %v", again, err)
			}
		})
	}
}

// Kong adjusts algorithm and hash_on to each other.
func TestCompleteUpstreamAlgorithm(t *testing.T) {
	t.Parallel()
	tests := []struct{ algorithm, hashOn, wantAlgorithm, wantHashOn string }{
		{"", "", "round-robin", "none"},
		{"", "ip", "consistent-hashing", "ip"},
		{"round-robin", "ip", "consistent-hashing", "ip"},
		{"least-connections", "ip", "least-connections", "none"},
		{"latency", "", "latency", "none"},
		{"consistent-hashing", "none", "round-robin", "none"},
		{"consistent-hashing", "", "consistent-hashing", "none"},
	}
	for _, tt := range tests {
		full, err := entity.Complete(&entity.Upstream{ID: testID, Name: "u", Algorithm: tt.algorithm, HashOn: tt.hashOn}, entity.SchemaSet{})
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		if u := full.(*entity.Upstream); u.Algorithm != tt.wantAlgorithm || u.HashOn != tt.wantHashOn {
			t.Errorf("%q, %q: got %q, %q", tt.algorithm, tt.hashOn, u.Algorithm, u.HashOn)
		}
	}
}

func TestCompleteReportsProblems(t *testing.T) {
	t.Parallel()
	_, err := entity.Complete(&entity.Plugin{ID: testID, Name: "limit", Config: map[string]any{"password": 1, "minute": -1}}, testSchemas(t))
	var problems entity.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("err = %v", err)
	}
	want := "plugins 'limit': config.minute: value must be greater than 0\nplugins 'limit': config.password: expected a string"
	if err.Error() != want || problems[0].Key != (entity.Key{Kind: entity.KindPlugin, ID: testID}) {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestCompleteSet(t *testing.T) {
	t.Parallel()
	good := &entity.Set{Services: []*entity.Service{{ID: testID, Host: "a"}}}
	full, err := entity.CompleteSet(good, entity.SchemaSet{})
	if err != nil || *full.Services[0].Port != 80 || good.Services[0].Port != nil {
		t.Errorf("CompleteSet = %+v, %v", full, err)
	}
	bad := &entity.Set{Services: []*entity.Service{{ID: testID}}, Routes: []*entity.Route{{ID: testID}}}
	_, err = entity.CompleteSet(bad, entity.SchemaSet{})
	var problems entity.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("err = %v, want a problem of the service and one of the route", err)
	}
}

func TestCheckEntity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		entity entity.Entity
		want   string
	}{
		{"no id", &entity.Consumer{Username: "u"}, "consumers 'u': id: required field missing"},
		{"bad id", &entity.Consumer{ID: "x", Username: "u"}, "consumers 'u': id: expected a valid UUID"},
		{"no name", &entity.Plugin{ID: testID}, "plugins " + testID + ": name: required field missing"},
		{"unknown plugin", &entity.Plugin{ID: testID, Name: "nope"}, "plugins 'nope': name: plugin 'nope' not enabled; this gateway has no plugin of that name"},
		{"unknown credential", &entity.Credential{ID: testID, Type: "nope"}, "credentials 'nope': type: no plugin of this gateway has credentials of type 'nope'"},
		{"missing reference", &entity.Target{ID: testID, Target: "a"}, "targets 'a': upstream: required field missing"},
		{"scope", &entity.Plugin{ID: testID, Name: "auth", Consumer: &entity.Ref{ID: testID}}, "plugins 'auth': consumer: value must be null"},
		{"good", &entity.Plugin{ID: testID, Name: "auth", Route: &entity.Ref{ID: testID}}, ""},
	}
	for _, tt := range tests {
		if got := entity.Problems(entity.CheckEntity(tt.entity, testSchemas(t))).Error(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCheckSet(t *testing.T) {
	t.Parallel()
	id := func(n string) entity.ID { return entity.ID("00000000-0000-4000-8000-00000000000" + n) }
	set := &entity.Set{
		Services:  []*entity.Service{{ID: id("1"), Name: "s", Host: "a"}, {ID: id("2"), Name: "s", Host: "a"}, {ID: id("2"), Host: "b"}},
		Routes:    []*entity.Route{{ID: id("1"), Paths: []string{"/"}, Service: &entity.Ref{ID: id("9")}}},
		Consumers: []*entity.Consumer{{ID: id("1"), CustomID: "c"}, {ID: id("2"), CustomID: "c", Groups: []entity.Ref{{ID: id("8")}}}},
		Credentials: []*entity.Credential{
			{ID: id("1"), Type: "keys", Consumer: &entity.Ref{ID: id("1")}, Fields: map[string]any{"key": "hunter2"}},
			{ID: id("2"), Type: "keys", Consumer: &entity.Ref{ID: id("2")}, Fields: map[string]any{"key": "hunter2"}},
		},
	}
	want := []string{
		"consumers 'c': uniqueness violation: 'consumers' entity with custom_id set to 'c' already declared",
		"services 's': uniqueness violation: 'services' entity with name set to 's' already declared",
		"services " + string(id("2")) + ": uniqueness violation: 'services' entity with primary key set to '" + string(id("2")) + "' already declared",
		"credentials 'keys': uniqueness violation: 'keys' entity with key set to 'REDACTED' already declared",
		"consumers 'c': groups[0]: invalid reference 'groups: " + string(id("8")) + "' (no such entry in 'consumer_groups')",
		"routes " + string(id("1")) + ": service: invalid reference 'service: " + string(id("9")) + "' (no such entry in 'services')",
	}
	got := strings.Split(entity.Problems(entity.CheckSet(set, testSchemas(t))).Error(), "\n")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
