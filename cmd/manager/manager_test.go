// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// api is the API server of this package's tests, kube a client with all rights.
var (
	api  *apiserver.Server
	kube client.Client
)

const managerNamespace = "kong-istio-system"

// logs are those of all managers: controller-runtime takes one logger for the
// process, the first.
var logs asynctest.Log

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	ctrl.SetLogger(newLogger(options{}, &logs))
	if err := startServer(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := api.Stop(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
		}
	}()
	return m.Run()
}

// startServer starts the API server with our kind and Istio's, and applies the shipped roles.
func startServer() error {
	istio, err := apiserver.IstioDefinitions(context.Background())
	if err != nil {
		return err
	}
	if api, err = apiserver.Start(filepath.Join("config", "crd", "bases"), istio); err != nil {
		return err
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	if kube, err = client.New(api.Config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	ns := &corev1.Namespace{}
	ns.Name = managerNamespace
	if err := kube.Create(context.Background(), ns); err != nil {
		return err
	}
	return applyRoles()
}

// applyRoles creates what config/rbac gives to the manager.
func applyRoles() error {
	files, err := filepath.Glob(filepath.Join(apiserver.Root(), "config", "rbac", "*role*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		reader := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			obj := &unstructured.Unstructured{}
			if err := reader.Decode(&obj.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if err := kube.Create(context.Background(), obj); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// managerConfig reaches the API server with the rights of the shipped roles only.
func managerConfig(t *testing.T) *rest.Config {
	t.Helper()
	config, err := api.User("system:serviceaccount:"+managerNamespace+":kong-istio-gateway-manager", "system:serviceaccounts", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logsFromNow returns a function that returns what is logged from now on.
func logsFromNow() func() string {
	start := len(logs.String())
	return func() string { return logs.String()[start:] }
}

// TestManager runs the whole manager, with nothing but its shipped rights, against a real API server.
func TestManager(t *testing.T) {
	logged := logsFromNow()
	o, err := parseOptions([]string{
		"--leader-elect", "--health-probe-bind-address=" + freeAddress(t), "--metrics-bind-address=" + freeAddress(t),
		"--config-stream-bind-address=" + freeAddress(t), "--proxy-image=proxy:test",
	}, func(name string) string {
		return map[string]string{"POD_NAMESPACE": managerNamespace, "POD_NAME": "manager-0"}[name]
	}, &logs)
	must(t, err)
	mgr, err := assemble(managerConfig(t), o)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager ended with %v", err)
		}
		if t.Failed() {
			t.Log(logged())
		}
	})

	ns := &corev1.Namespace{}
	ns.Name = "kong-istio"
	must(t, kube.Create(t.Context(), ns))
	backend := &corev1.Service{}
	backend.Name, backend.Namespace = "http-echo", ns.Name
	backend.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 8080}}
	must(t, kube.Create(t.Context(), backend))
	gw := &v1alpha1.KongIstioGateway{}
	gw.Name, gw.Namespace = "edge", ns.Name
	must(t, kube.Create(t.Context(), gw))
	key := client.ObjectKeyFromObject(gw)

	t.Run("children exist, with the roots of the stream", func(t *testing.T) {
		apiserver.Eventually(t, "Deployment", func() error {
			return kube.Get(t.Context(), types.NamespacedName{Namespace: key.Namespace, Name: "edge-blue"}, &appsv1.Deployment{})
		})
		bundle := &corev1.ConfigMap{}
		must(t, kube.Get(t.Context(), types.NamespacedName{Namespace: key.Namespace, Name: "edge-ca-bundle"}, bundle))
		if !strings.Contains(bundle.Data["ca.crt"], "BEGIN CERTIFICATE") {
			t.Errorf("bundle %v", bundle.Data)
		}
	})
	t.Run("a route is counted", func(t *testing.T) {
		class, prefix := "kong", networkingv1.PathTypePrefix
		ing := &networkingv1.Ingress{}
		ing.Name, ing.Namespace = "echo", ns.Name
		ing.Spec.IngressClassName = &class
		ing.Spec.Rules = []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "http-echo", Port: networkingv1.ServiceBackendPort{Number: 8080}},
			}}},
		}}}}
		must(t, kube.Create(t.Context(), ing))
		apiserver.Eventually(t, "attachedRoutes", func() error {
			live := &v1alpha1.KongIstioGateway{}
			must(t, kube.Get(t.Context(), key, live))
			if live.Status.AttachedRoutes == nil || *live.Status.AttachedRoutes != 1 {
				return fmt.Errorf("status %+v", live.Status)
			}
			return nil
		})
	})
	t.Run("metrics need a token that may read them", func(t *testing.T) { checkMetrics(t, o.metricsAddress) })
	t.Run("nothing is forbidden", func(t *testing.T) {
		switch text := logged(); {
		case text == "":
			t.Error("the manager logs nothing")
		case strings.Contains(text, "forbidden"):
			t.Error("the shipped role lacks a right")
		}
	})
	t.Run("a deleted gateway leaves nothing of ours", func(t *testing.T) {
		must(t, kube.Delete(t.Context(), gw))
		apiserver.Eventually(t, "gone", func() error {
			if err := kube.Get(t.Context(), key, gw); client.IgnoreNotFound(err) != nil || err == nil {
				return fmt.Errorf("still there: %w", err)
			}
			return nil
		})
		list := &networkingv1.IngressClassList{}
		must(t, kube.List(t.Context(), list))
		if len(list.Items) > 0 {
			t.Errorf("IngressClasses %v", list.Items)
		}
	})
}
