// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestBadInput(t *testing.T) {
	const ns = "bad-input"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	s := start(t, ns)
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
	s.acknowledge()
	s.condition("rate-limit", "True/")

	t.Run("a bad configuration", func(t *testing.T) {
		kubectl(t, "", "-n", ns, "patch", "kongplugin", "rate-limit", "--type=merge", "-p", `{"config":{"minute":"many"}}`)
		s.condition("rate-limit", "False/Invalid: The last valid version goes on serving: config.minute: ")
		s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
		eventually(t, "event", func() error {
			return want("list", warnings(t, ns, "rate-limit"), []string{
				"KongPlugin KongConfigurationTranslationFailed PluginConfigInvalid: config.minute: plugin failed schema validation: config.minute: expected a number (correct the field)",
			}, slices.Equal[[]string])
		})
		f := s.cp.Facts(s.gateway)
		if len(f.Problems) != 1 || f.Problems[0].Object.Name != "rate-limit" || f.Problems[0].Field != "config.minute" {
			t.Errorf("problems are %v", f.Problems)
		}
	})
	t.Run("put right", func(t *testing.T) {
		kubectl(t, "", "-n", ns, "patch", "kongplugin", "rate-limit", "--type=merge", "-p", `{"config":{"minute":2}}`)
		eventually(t, "condition", func() error {
			s.acknowledge()
			p := &kongv1.KongPlugin{}
			if err := kube.Get(context.Background(), types.NamespacedName{Namespace: ns, Name: "rate-limit"}, p); err != nil {
				return err
			}
			if got := programmed(p.Status.Conditions); !strings.HasPrefix(got, "True/") {
				return fmt.Errorf("%q", got)
			}
			return nil
		})
		if f := s.cp.Facts(s.gateway); len(f.Problems) != 0 {
			t.Errorf("problems are %v", f.Problems)
		}
	})
	t.Run("rejected by a proxy", func(t *testing.T) {
		_, list := s.entities()
		i := slices.IndexFunc(list, func(e entity.Entity) bool { p, ok := e.(*entity.Plugin); return ok && p.Name == "rate-limiting" })
		s.server.mu.Lock()
		s.server.rejections[s.stream()] = []server.Rejection{{Rejection: configsync.Rejection{
			Key: entity.KeyOf(list[i]), Name: "rate-limiting", Field: "config.policy", Reason: "no such policy here",
		}, Proxies: 1}}
		s.server.mu.Unlock()
		s.cp.FleetChanged(context.Background(), s.gateway)
		s.condition("rate-limit", "False/Invalid: config.policy: proxies cannot run the plugins")
		f := s.cp.Facts(s.gateway)
		if len(f.Problems) != 1 || f.Problems[0].Object.Kind != "KongPlugin" {
			t.Errorf("problems are %v", f.Problems)
		}
	})
	t.Run("not known to an older proxy", func(t *testing.T) {
		_, list := s.entities()
		i := slices.IndexFunc(list, func(e entity.Entity) bool { p, ok := e.(*entity.Plugin); return ok && p.Name == "rate-limiting" })
		s.server.mu.Lock()
		s.server.rejections[s.stream()] = nil
		s.server.omissions[s.stream()] = []server.Omission{{Key: entity.KeyOf(list[i]), Reason: "the proxy's version does not know it", Proxies: 1}}
		s.server.mu.Unlock()
		s.cp.FleetChanged(context.Background(), s.gateway)
		s.condition("rate-limit", "False/Invalid: proxies cannot run the plugins")
	})
}

func TestSecretDeletedTakesEffect(t *testing.T) {
	const ns = "secret-config"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins)+manifest(ns, `---
apiVersion: v1
kind: Secret
metadata: {name: limits, namespace: NAMESPACE}
stringData: {config: "minute: 5"}
`), "apply", "-f", "-")
	kubectl(t, "", "-n", ns, "patch", "kongplugin", "rate-limit", "--type=json", "-p",
		`[{"op":"remove","path":"/config"},{"op":"add","path":"/configFrom","value":{"secretKeyRef":{"name":"limits","key":"config"}}}]`)
	s := start(t, ns)
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
	kubectl(t, "", "-n", ns, "delete", "secret", "limits")
	s.wantPlugins("ip-restriction"+route, "unusable"+route)
	s.condition("rate-limit", "False/Invalid: configFrom.secretKeyRef.name: Secret "+ns+"/limits does not exist")
	kubectl(t, "", "-n", ns, "create", "secret", "generic", "limits", "--from-literal=config=minute: 9")
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
}

func TestForeignConditionIsLeftAlone(t *testing.T) {
	const ns = "foreign-condition"
	route := " on " + ns + ".kong-ingress.http-echo..8080"
	installKongCRDs(t)
	kubectl(t, manifest(ns, walkthrough)+"---"+manifest(ns, plugins), "apply", "-f", "-")
	kubectl(t, manifest(ns, `
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
metadata: {name: rate-limit, namespace: NAMESPACE}
status:
  conditions: [{type: Programmed, status: "Unknown", reason: Theirs, message: hands off, lastTransitionTime: "2026-01-01T00:00:00Z"}]
`), "apply", "--server-side", "--subresource=status", "--field-manager=another-controller", "--force-conflicts", "-f", "-")
	s := start(t, ns)
	s.wantPlugins("ip-restriction"+route, "rate-limiting"+route)
	s.acknowledge()
	eventually(t, "condition of the KongClusterPlugin", func() error {
		p := &kongv1.KongClusterPlugin{}
		if err := kube.Get(context.Background(), types.NamespacedName{Name: ns + "-ips"}, p); err != nil {
			return err
		}
		if got := programmed(p.Status.Conditions); !strings.HasPrefix(got, "True/") {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	s.condition("rate-limit", "Unknown/Theirs: hands off")
}
