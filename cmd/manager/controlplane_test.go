// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	streamclient "github.com/kong/kong-istio-gateway/internal/configsync/client"
	"github.com/kong/kong-istio-gateway/internal/configsync/shard"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// runManager runs a manager until stop is called or the test ends.
func runManager(t *testing.T, o options) (stop func()) {
	t.Helper()
	logged := logsFromNow()
	mgr, err := assemble(managerConfig(t), o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager ended with %v", err)
		}
		if t.Failed() {
			t.Log(logged())
		}
		if strings.Contains(logged(), "forbidden") {
			t.Error("the shipped role lacks a right")
		}
	})
	t.Cleanup(stop)
	return stop
}

// proxy is a client of the stream that takes everything.
type proxy struct {
	mu     sync.Mutex
	update streamclient.Update
}

func (p *proxy) apply(_ context.Context, u streamclient.Update) []configsync.Rejection {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update = u
	return nil
}

// routes returns the names of the routes it has, and their position.
func (p *proxy) routes() ([]string, configsync.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	if p.update.First || p.update.Position != (configsync.Position{}) {
		for _, r := range p.update.Set().Routes {
			names = append(names, r.Name)
		}
	}
	return names, p.update.Position
}

// startPod makes the objects that a cluster's controllers would: a ReplicaSet
// and a pod of the gateway's Deployment; and runs a proxy with the pod's token.
func startPod(t *testing.T, key types.NamespacedName, o options) *proxy {
	t.Helper()
	deployment := &appsv1.Deployment{}
	apiserver.Eventually(t, "Deployment", func() error {
		return kube.Get(t.Context(), types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-blue"}, deployment)
	})
	rs := &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Selector: deployment.Spec.Selector, Template: deployment.Spec.Template}}
	rs.Name, rs.Namespace = deployment.Name+"-1", key.Namespace
	rs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	must(t, kube.Create(t.Context(), rs))
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		ServiceAccountName: key.Name, Containers: []corev1.Container{{Name: "proxy", Image: "proxy:test"}},
	}}
	pod.Name, pod.Namespace, pod.Labels = rs.Name+"-1", key.Namespace, deployment.Spec.Template.Labels
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	must(t, kube.Create(t.Context(), pod))

	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      []string{render.TokenAudience},
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	must(t, kube.SubResource("token").Create(t.Context(), account, token))
	bundle := &corev1.ConfigMap{}
	must(t, kube.Get(t.Context(), types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-ca-bundle"}, bundle))
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "token"), []byte(token.Status.Token), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "ca"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "ca", "ca.crt"), []byte(bundle.Data["ca.crt"]), 0o600))

	known, err := configsync.Schemas(schemas.All())
	must(t, err)
	p := &proxy{}
	c, err := streamclient.New(streamclient.Config{
		Gateway: configsync.Gateway{Namespace: key.Namespace, Name: key.Name},
		Pod:     streamclient.Pod{Name: pod.Name, UID: string(pod.UID)}, Version: "test", Schemas: known,
		Target: o.streamAddress, ServerName: o.streamHost(), CADir: filepath.Join(dir, "ca"), TokenFile: filepath.Join(dir, "token"),
		Apply: p.apply,
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("the proxy's client ended: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

// TestStream follows a route from kubectl to a proxy and back, across the
// death of a manager.
func TestStream(t *testing.T) {
	o := options{
		leaderElect: true, healthAddress: "0", metricsAddress: "0", streamAddress: freeAddress(t),
		namespace: managerNamespace, podName: "manager-1", proxyImage: "proxy:test", clusterDomain: "cluster.local", sharedProcess: true,
	}
	stop := runManager(t, o)
	ns := &corev1.Namespace{}
	ns.Name = "streamed"
	must(t, kube.Create(t.Context(), ns))
	backend := &corev1.Service{}
	backend.Name, backend.Namespace = "web", ns.Name
	backend.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}}
	must(t, kube.Create(t.Context(), backend))
	gw := &v1alpha1.KongIstioGateway{}
	gw.Name, gw.Namespace = "edge", ns.Name
	gw.Spec.IngressClassName = ns.Name
	must(t, kube.Create(t.Context(), gw))
	key := client.ObjectKeyFromObject(gw)

	route := func(name string) *networkingv1.Ingress {
		exact := networkingv1.PathTypeExact
		ing := &networkingv1.Ingress{}
		ing.Name, ing.Namespace, ing.Spec.IngressClassName = name, ns.Name, &gw.Spec.IngressClassName
		ing.Spec.Rules = []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/" + name, PathType: &exact, Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
			}}},
		}}}}
		return ing
	}
	must(t, kube.Create(t.Context(), route("one")))
	p := startPod(t, key, o)
	wantRoutes := func(n int) (position configsync.Position) {
		t.Helper()
		apiserver.Eventually(t, "routes at the proxy", func() error {
			names, at := p.routes()
			if position = at; len(names) != n {
				return fmt.Errorf("it has %v", names)
			}
			return nil
		})
		return position
	}
	wantRoutes(1)
	apiserver.Eventually(t, "proxies in the status", func() error {
		must(t, kube.Get(t.Context(), key, gw))
		if n := gw.Status.Proxies.Programmed; n == nil || *n != 1 {
			return fmt.Errorf("status is %+v", gw.Status)
		}
		return nil
	})
	must(t, kube.Create(t.Context(), route("two")))
	before := wantRoutes(2)

	t.Run("the snapshot is kept for cold starts", func(t *testing.T) {
		apiserver.Eventually(t, "snapshot", func() error {
			s := &corev1.Secret{}
			if err := kube.Get(t.Context(), types.NamespacedName{Namespace: key.Namespace, Name: shard.SecretName(key.Name, 0)}, s); err != nil {
				return err
			}
			snap, err := shard.Decode([][]byte{s.Data[shard.SecretKey]})
			if err != nil {
				return err
			}
			found := 0
			for e := range snap.Records.All() {
				if e.Value.Key.Kind == entity.KindRoute {
					found++
				}
			}
			if found != 2 {
				return fmt.Errorf("%d routes in it", found)
			}
			return nil
		})
	})

	stop()
	if names, _ := p.routes(); len(names) != 2 {
		t.Fatalf("without a manager the proxy has %v", names)
	}
	must(t, kube.Delete(t.Context(), route("one")))
	runManager(t, o)
	after := wantRoutes(1)
	if after.Compare(before) <= 0 {
		t.Errorf("position %v of the next manager does not follow %v", after, before)
	}
	must(t, kube.Delete(t.Context(), gw))
	// What the cluster's own controllers would delete.
	now := client.GracePeriodSeconds(0)
	must(t, kube.DeleteAllOf(t.Context(), &appsv1.ReplicaSet{}, client.InNamespace(key.Namespace), now))
	must(t, kube.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(key.Namespace), now))
	apiserver.Eventually(t, "gateway gone", func() error {
		err := kube.Get(t.Context(), key, gw)
		if err == nil {
			return fmt.Errorf("still there, with finalizers %v", gw.Finalizers)
		}
		return client.IgnoreNotFound(err)
	})
}
