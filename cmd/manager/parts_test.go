// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// checkMetrics asks /metrics without a token, with one that may not read it, and with one that may.
func checkMetrics(t *testing.T, address string) {
	t.Helper()
	token := func(name string) string {
		sa := &corev1.ServiceAccount{}
		sa.Name, sa.Namespace = name, managerNamespace
		must(t, kube.Create(t.Context(), sa))
		request := &authenticationv1.TokenRequest{}
		must(t, kube.SubResource("token").Create(t.Context(), sa, request))
		return request.Status.Token
	}
	reader := &rbacv1.ClusterRoleBinding{}
	reader.Name = "prometheus"
	reader.RoleRef = rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "kong-istio-gateway-metrics-reader"}
	reader.Subjects = []rbacv1.Subject{{Kind: "ServiceAccount", Name: "prometheus", Namespace: managerNamespace}}
	must(t, kube.Create(t.Context(), reader))
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // self-signed, on loopback
	defer insecure.CloseIdleConnections()
	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"no token", "", http.StatusUnauthorized},
		{"no such user", "nonsense", http.StatusUnauthorized},
		{"not allowed", token("stranger"), http.StatusForbidden},
		{"allowed", token("prometheus"), http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
			must(t, err)
			if c.token != "" {
				req.Header.Set("Authorization", "Bearer "+c.token)
			}
			resp, err := insecure.Do(req)
			must(t, err)
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, c.status, body)
			}
			if c.status == http.StatusOK && !strings.Contains(string(body), "kong_istio_gateway_child_operations_total") {
				t.Error("our own metric is missing")
			}
		})
	}
}

func TestOptions(t *testing.T) {
	env := map[string]string{"POD_NAMESPACE": "ns", "RELATED_IMAGE_PROXY": "proxy:1"}
	getenv := func(name string) string { return env[name] }
	o, err := parseOptions(nil, getenv, io.Discard)
	if err != nil || o.proxyImage != "proxy:1" || o.streamHost() != "kong-istio-gateway-stream.ns.svc" {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, args := range [][]string{{"--nonsense"}, {"extra"}, {"--proxy-image="}, {"--log-level=loud"}} {
		if _, err := parseOptions(args, getenv, io.Discard); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
	if o, err := parseOptions([]string{"-version"}, func(string) string { return "" }, io.Discard); err != nil || !o.version {
		t.Errorf("the version needs settings: %v", err)
	}
	if _, err := parseOptions(nil, func(string) string { return "" }, io.Discard); err == nil || !strings.Contains(err.Error(), "POD_NAMESPACE") {
		t.Errorf("error %v", err)
	}
	if code := run([]string{"--nonsense"}, getenv, io.Discard); code != 2 {
		t.Errorf("wrong usage ends with %d", code)
	}
}

// TestAcknowledgementsReconcileNothing holds that a proxy that takes one change after the other causes no reconcile, and
// that one that stops to do so does.
func TestAcknowledgementsReconcileNothing(t *testing.T) {
	g := configsync.Gateway{Namespace: "kong", Name: "edge"}
	clock := clocktesting.NewFakeClock(time.Unix(1_000_000, 0))
	proxy := server.Proxy{Identity: server.Identity{PodName: "a"}}
	f := newFleet(func(configsync.Gateway) server.Facts {
		facts := server.Facts{Connected: 1, Proxies: []server.Proxy{proxy}}
		if proxy.Programmed {
			facts.Programmed = 1
		}
		return facts
	}, clock.Now, clock)
	told := func() int {
		f.moved(g)
		n := len(f.changes)
		for range n {
			<-f.changes
		}
		return n
	}
	if told() != 1 {
		t.Error("nobody heard of a proxy that connected")
	}
	proxy.Programmed, proxy.Position = true, configsync.Position{Term: 1, Sequence: 1}
	if told() != 1 {
		t.Error("nobody heard of a proxy that has its first configuration")
	}
	for range 3 {
		proxy.Programmed, proxy.BehindSince = false, clock.Now()
		if told() != 0 {
			t.Error("a change that is on its way is no news")
		}
		if got := f.Facts(types.NamespacedName{Namespace: g.Namespace, Name: g.Name}); got.Programmed != 1 {
			t.Errorf("%d proxies are programmed while a change is on its way", got.Programmed)
		}
		proxy.Programmed, proxy.BehindSince = true, time.Time{}
		proxy.Position.Sequence++
		if told() != 0 {
			t.Error("an acknowledgement is no news")
		}
	}
	proxy.Programmed, proxy.BehindSince = false, clock.Now()
	clock.Step(server.BehindAfter)
	if told() != 1 {
		t.Error("nobody heard of a proxy that is behind")
	}
}

func TestFleetFacts(t *testing.T) {
	key := types.NamespacedName{Namespace: "kong", Name: "edge"}
	start := time.Unix(1_000_000, 0)
	clock := clocktesting.NewFakeClock(start)
	facts := server.Facts{}
	opened := time.Time{}
	f := newFleet(func(configsync.Gateway) server.Facts { return facts }, func() time.Time { return opened }, clock)

	if got := f.Facts(key); got.Known {
		t.Error("a stream that is not open knows nothing")
	}
	opened = start
	if got := f.Facts(key); got.Known {
		t.Error("proxies get time to come back")
	}
	clock.Step(reconnectGrace + time.Second)
	if err := changedWithin(f, time.Second); err != nil {
		t.Fatalf("nobody looks again when the time is over: %v", err)
	}
	if got := f.Facts(key); !got.Known || got.Connected != 0 {
		t.Errorf("got %+v", got)
	}

	if got := f.Facts(key); !got.Expected.Equal(start.Add(reconnectGrace)) {
		t.Errorf("proxies are expected at %s", got.Expected)
	}
	facts = server.Facts{Connected: 1, Proxies: []server.Proxy{{Identity: server.Identity{PodName: "gone"}}}}
	if got := f.Facts(key); !got.Streams["gone"] {
		t.Errorf("got %+v", got)
	}
	fresh := newFleet(func(configsync.Gateway) server.Facts { return facts }, clock.Now, clock)
	if got := fresh.Facts(key); got.Known {
		t.Error("a proxy that came back and acknowledged nothing yet says nothing")
	}
	facts = server.Facts{
		Connected: 2, Programmed: 1,
		Rejections: []server.Rejection{{Rejection: configsync.Rejection{Key: entity.Key{Kind: "plugins", ID: "id"}, Name: "rate-limiting", Field: "config.minute", Reason: "must be a number"}}},
		Proxies: []server.Proxy{
			{Identity: server.Identity{PodName: "a"}, Version: "2"},
			{Identity: server.Identity{PodName: "b"}, Version: "1", BehindSince: clock.Now()},
		},
	}
	got := f.Facts(key)
	if got.Streams["gone"] || !got.Streams["a"] || !got.Lost["gone"].Equal(clock.Now()) {
		t.Errorf("streams %v, lost %v", got.Streams, got.Lost)
	}
	if got.Version != "1" || len(got.Behind) != 0 || strings.Join(got.Rejected, "") != "plugins rate-limiting: config.minute: must be a number" {
		t.Errorf("got %+v", got)
	}
	clock.Step(server.BehindAfter + time.Second)
	if err := changedWithin(f, time.Second); err != nil {
		t.Fatalf("time alone makes a proxy behind: %v", err)
	}
	if got := f.Facts(key); strings.Join(got.Behind, "") != "b" {
		t.Errorf("got %+v", got)
	}
}

func changedWithin(f *fleet, limit time.Duration) error {
	select {
	case <-f.Changes():
		return nil
	case <-time.After(limit):
		return errors.New("no event")
	}
}

func TestTrust(t *testing.T) {
	tr := newTrust()
	if tr.Bundle() != "" {
		t.Error("a bundle before there is one")
	}
	tr.set([]byte("pem"))
	if tr.Bundle() != "pem" || len(tr.Changes()) != 1 {
		t.Error("the bundle did not arrive")
	}
}

// TestStreamPorts holds which listeners serve stream routes, by the ports that
// clients know.
func TestStreamPorts(t *testing.T) {
	ports := streamPorts([]v1alpha1.Listener{
		{Port: 80, Protocol: v1alpha1.ProtocolHTTP}, {Port: 443, Protocol: v1alpha1.ProtocolHTTPS},
		{Port: 5432, ContainerPort: 15432, Protocol: v1alpha1.ProtocolTCP}, {Port: 8883, Protocol: v1alpha1.ProtocolTLS}, {Port: 53, Protocol: v1alpha1.ProtocolUDP},
	})
	if !slices.Equal(ports.TCP, []int32{5432, 8883}) || !slices.Equal(ports.UDP, []int32{53}) {
		t.Errorf("ports are %+v", ports)
	}
}
