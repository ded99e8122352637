// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/test/apiserver"
	"github.com/kong/kong-istio-gateway/test/scale/population"
)

// TestSnapshotTooLarge holds that a configuration that does not fit the snapshot
// Secrets is reported, and that running proxies go on to get what changes.
func TestSnapshotTooLarge(t *testing.T) {
	o := options{
		leaderElect: true, healthAddress: "0", metricsAddress: "0", streamAddress: freeAddress(t),
		namespace: managerNamespace, podName: "manager-1", proxyImage: "proxy:test", clusterDomain: "cluster.local", sharedProcess: true,
	}
	runManager(t, o)
	ns := &corev1.Namespace{}
	ns.Name = "large"
	must(t, kube.Create(t.Context(), ns))
	gw := &v1alpha1.KongIstioGateway{}
	gw.Name, gw.Namespace, gw.Spec.IngressClassName = "edge", ns.Name, ns.Name
	must(t, kube.Create(t.Context(), gw))
	key := client.ObjectKeyFromObject(gw)

	// Random content does not compress. The API server takes Secrets of up to 1 MiB.
	const each = 600 << 10
	const n = shard.MaxShards*shard.MaxBytes/each + 2
	secrets, err := population.Certificates(ns.Name, n, each)
	must(t, err)
	ingress := func(name, host, secret string) *networkingv1.Ingress {
		prefix := networkingv1.PathTypePrefix
		ing := &networkingv1.Ingress{}
		ing.Name, ing.Namespace, ing.Spec.IngressClassName = name, ns.Name, &gw.Spec.IngressClassName
		ing.Spec.Rules = []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
			}}},
		}}}}
		if secret != "" {
			ing.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: secret}}
		}
		return ing
	}
	for i, s := range secrets {
		must(t, kube.Create(t.Context(), s))
		must(t, kube.Create(t.Context(), ingress(s.Name, fmt.Sprintf("app-%d.example.com", i), s.Name)))
	}
	p := startPod(t, key, o)
	apiserver.Eventually(t, "the certificates at the proxy", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if got := len(p.update.Set().Certificates); got != n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
	apiserver.Eventually(t, "the condition", func() error {
		must(t, kube.Get(t.Context(), key, gw))
		c := apimeta.FindStatusCondition(gw.Status.Conditions, v1alpha1.ConditionProgrammed)
		if c == nil || c.Reason != v1alpha1.ReasonSnapshotTooLarge || !strings.Contains(c.Message, "spread the routes over several gateways") {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
	must(t, kube.Create(t.Context(), ingress("later", "later.example.com", "")))
	apiserver.Eventually(t, "a later route at the proxy", func() error {
		if names, _ := p.routes(); !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "later") }) {
			return fmt.Errorf("it has %v", names)
		}
		return nil
	})
	must(t, kube.Delete(t.Context(), gw))
	// What the cluster's own controllers would delete. Other tests are not to meet this gateway.
	now := client.GracePeriodSeconds(0)
	must(t, kube.DeleteAllOf(t.Context(), &appsv1.ReplicaSet{}, client.InNamespace(ns.Name), now))
	must(t, kube.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(ns.Name), now))
	apiserver.Eventually(t, "gateway gone", func() error {
		if err := kube.Get(t.Context(), key, gw); err != nil {
			return client.IgnoreNotFound(err)
		}
		return fmt.Errorf("still there, with finalizers %v", gw.Finalizers)
	})
}
