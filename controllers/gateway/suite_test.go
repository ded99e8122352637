// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/apply"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

var (
	// restConfig is the manager's: it has no right but those of the shipped role.
	restConfig *rest.Config
	scheme     = runtime.NewScheme()
	// kube is a client without cache, as a user of the cluster has.
	kube client.Client
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(logSink(), nil)))
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	istioCRDs, err := apiserver.IstioDefinitions(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	api, err := apiserver.Start(filepath.Join("config", "crd", "bases"), istioCRDs)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := api.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	api.Config.QPS, api.Config.Burst = 200, 400
	if kube, err = client.New(api.Config, client.Options{Scheme: scheme}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if restConfig, err = manager(api); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := kube.Create(context.Background(), injector()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// logSink keeps the manager's log out of the way unless it is asked for.
func logSink() *os.File {
	if os.Getenv("KIG_TEST_LOG") != "" {
		return os.Stderr
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return os.Stderr
	}
	return null
}

// manager is the shipped ServiceAccount with the shipped role and the policy that narrows it, so that a right that is
// missing there fails here.
func manager(api *apiserver.Server) (*rest.Config, error) {
	for _, name := range []string{
		"rbac/role.yaml", "rbac/role_binding.yaml", "admission/manager_scope_policy.yaml", "admission/manager_scope_binding.yaml",
	} {
		text, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", name))
		if err != nil {
			return nil, err
		}
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &obj.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := kube.Create(context.Background(), obj); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	config, err := api.User("system:serviceaccount:kong-istio-system:kong-istio-gateway-manager", "system:serviceaccounts", "system:authenticated")
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	return config, nil
}

// injector is the admission configuration of an Istio install with the default revision: the webhooks that answer
// labelled namespaces, and pods that ask for a sidecar. Nobody serves them here, so they are ignored when they fail.
func injector() *admissionv1.MutatingWebhookConfiguration {
	c := &admissionv1.MutatingWebhookConfiguration{}
	c.Name = "istio-sidecar-injector"
	c.Labels = map[string]string{"app": "sidecar-injector", "istio.io/rev": "default"}
	expression := func(key string, operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: values}
	}
	c.Webhooks = []admissionv1.MutatingWebhook{
		webhook("namespace", []metav1.LabelSelectorRequirement{
			expression("istio-injection", metav1.LabelSelectorOpIn, "enabled"),
		}, []metav1.LabelSelectorRequirement{
			expression("sidecar.istio.io/inject", metav1.LabelSelectorOpNotIn, "false"),
		}),
		webhook("object", []metav1.LabelSelectorRequirement{
			expression("istio-injection", metav1.LabelSelectorOpDoesNotExist),
			expression("istio.io/rev", metav1.LabelSelectorOpDoesNotExist),
		}, []metav1.LabelSelectorRequirement{
			expression("sidecar.istio.io/inject", metav1.LabelSelectorOpIn, "true"),
			expression("istio.io/rev", metav1.LabelSelectorOpDoesNotExist),
		}),
	}
	return c
}

func webhook(name string, namespaces, pods []metav1.LabelSelectorRequirement) admissionv1.MutatingWebhook {
	ignore, none, seconds := admissionv1.Ignore, admissionv1.SideEffectClassNone, int32(1)
	return admissionv1.MutatingWebhook{
		Name:          name + ".sidecar-injector.istio.io",
		ClientConfig:  admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "istio-system", Name: "istiod"}},
		FailurePolicy: &ignore, SideEffects: &none, TimeoutSeconds: &seconds, AdmissionReviewVersions: []string{"v1"},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: namespaces},
		ObjectSelector:    &metav1.LabelSelector{MatchExpressions: pods},
	}
}

// operator is one running manager with a control plane that tests steer.
type operator struct {
	routes *fakeRoutes
	fleet  *fakeFleet
	trust  *fakeTrust
	clock  *clocktesting.FakePassiveClock
	events *recorder
	stop   func()
	r      *Reconciler
}

// startOperator runs a manager until the test ends or stop is called.
func startOperator(t *testing.T) *operator {
	t.Helper()
	skipNames := true
	mgr, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &skipNames},
		Cache:      cache.Options{ByObject: CacheByObject()},
	})
	if err != nil {
		t.Fatal(err)
	}
	op := &operator{
		routes: newFakeRoutes(), fleet: newFakeFleet(), trust: &fakeTrust{bundle: "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n", changes: make(chan event.GenericEvent, 1)},
		clock: clocktesting.NewFakePassiveClock(time.Now()), events: &recorder{events: map[string][]string{}},
	}
	op.r = &Reconciler{
		Client: mgr.GetClient(), Recorder: op.events, Routes: op.routes, Fleet: op.fleet, Trust: op.trust, Clock: op.clock,
		Engine: &apply.Engine{Cached: mgr.GetClient(), Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Scheme: scheme, Clock: op.clock},
		Settings: render.Settings{
			ProxyImage: "kong-istio-gateway/proxy:test", StreamHost: "kong-istio-gateway-stream.kong-istio-system.svc",
		},
	}
	if err := op.r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	op.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager ended with %v", err)
		}
	}
	t.Cleanup(op.stop)
	return op
}

func namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	ns := &corev1.Namespace{}
	ns.GenerateName, ns.Labels = "gw-", labels
	must(t, kube.Create(t.Context(), ns))
	return ns.Name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, key types.NamespacedName, into client.Object) error {
	t.Helper()
	return kube.Get(t.Context(), key, into)
}

// settle plays the controllers that envtest lacks: it makes the Deployment complete, gives the Service an address, and
// creates one ready pod with or without a sidecar.
func settle(t *testing.T, key types.NamespacedName) {
	t.Helper()
	settleDeployment(t, key)
	settleService(t, key)
}

func settleDeployment(t *testing.T, key types.NamespacedName) {
	t.Helper()
	d := &appsv1.Deployment{}
	apiserver.Eventually(t, "Deployment exists", func() error {
		return get(t, types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-blue"}, d)
	})
	settlePod(t, key, d)
	completeDeployment(t, key)
}

// completeDeployment reports all pods as being of the newest template.
func completeDeployment(t *testing.T, key types.NamespacedName) {
	t.Helper()
	d := &appsv1.Deployment{}
	must(t, get(t, types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-blue"}, d))
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
	}
	must(t, kube.Status().Update(t.Context(), d))
}

func settleService(t *testing.T, key types.NamespacedName) {
	t.Helper()
	s := &corev1.Service{}
	must(t, get(t, key, s))
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.10"}}
	must(t, kube.Status().Update(t.Context(), s))
}

func settlePod(t *testing.T, key types.NamespacedName, d *appsv1.Deployment) {
	t.Helper()
	readyPod(t, startPod(t, key, d))
}

// startPod makes a pod of the Deployment's template, with a sidecar if the template asks for one.
func startPod(t *testing.T, key types.NamespacedName, d *appsv1.Deployment) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace = d.Name+"-0", key.Namespace
	pod.Labels, pod.Annotations = d.Spec.Template.Labels, d.Spec.Template.Annotations
	pod.Spec = *d.Spec.Template.Spec.DeepCopy()
	pod.Spec.Volumes, pod.Spec.Containers[0].VolumeMounts = nil, nil
	if pod.Labels["sidecar.istio.io/inject"] == "true" {
		always := corev1.ContainerRestartPolicyAlways
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: "istio-proxy", Image: "proxyv2", RestartPolicy: &always})
	}
	must(t, kube.Create(t.Context(), pod))
	return pod
}

func readyPod(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for _, c := range pod.Spec.InitContainers {
		pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, corev1.ContainerStatus{Name: c.Name, Ready: true})
	}
	must(t, kube.Status().Update(t.Context(), pod))
}
