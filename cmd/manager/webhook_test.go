// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/streamca"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// people is kubectl in the hands of an administrator.
type people struct{ kubeconfig string }

func newPeople(t *testing.T) *people {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: api.Config.Host, CertificateAuthorityData: api.Config.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: api.Config.CertData, ClientKeyData: api.Config.KeyData}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "config")
	must(t, clientcmd.WriteToFile(*config, file))
	return &people{file}
}

// kubectl returns what kubectl prints, and whether it succeeded.
func (p *people) kubectl(t *testing.T, stdin string, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv(apiserver.AssetsVariable), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func (p *people) must(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if out, ok := p.kubectl(t, stdin, args...); !ok {
		t.Fatalf("kubectl %v: %s", args, out)
	}
}

// apply is kubectl apply in the test's namespace.
func (p *people) apply(t *testing.T, manifest string) (string, bool) {
	t.Helper()
	return p.kubectl(t, manifest, "apply", "-n", "hooked", "-f", "-")
}

// shippedWebhook applies config/webhook, with Services that lead to this
// process: the API server resolves a Service of type ExternalName by its name,
// and knows the webhook by the shipped Service's name as ever. Kinds with a class
// go to the second address.
func shippedWebhook(t *testing.T, first, second string) {
	t.Helper()
	port := func(address string) *int32 {
		_, text, err := net.SplitHostPort(address)
		must(t, err)
		n, err := strconv.ParseInt(text, 10, 32)
		must(t, err)
		port := int32(n)
		return &port
	}
	text, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "webhook", "webhook_configuration.yaml"))
	must(t, err)
	configuration := &admissionv1.ValidatingWebhookConfiguration{}
	must(t, yaml.UnmarshalStrict(text, configuration))
	for i := range configuration.Webhooks {
		service := configuration.Webhooks[i].ClientConfig.Service
		service.Port = port(first)
		if strings.HasPrefix(configuration.Webhooks[i].Name, "class-objects") {
			service.Port = port(second)
		}
	}
	service := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}
	service.Namespace, service.Name = managerNamespace, webhookService
	for _, o := range []client.Object{configuration, service} {
		must(t, kube.Create(t.Context(), o))
		t.Cleanup(func() {
			if err := kube.Delete(context.WithoutCancel(t.Context()), o); err != nil {
				t.Error(err)
			}
		})
	}
}

// newHooked installs what the webhook needs beside a manager, and a namespace.
func newHooked(t *testing.T, namespace string) *people {
	t.Helper()
	user := newPeople(t)
	user.must(t, "", "apply", "--server-side", "-k", filepath.Join(apiserver.Root(), "config", "kong-crds"))
	user.must(t, "", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	for _, file := range []string{"role.yaml", "role_binding.yaml", "own_namespace_role.yaml", "own_namespace_role_binding.yaml"} {
		user.must(t, "", "apply", "-f", filepath.Join(apiserver.Root(), "config", "webhook", file))
	}
	user.must(t, "", "create", "namespace", namespace)
	return user
}

// calls is how many reviews were answered in this process.
func calls(t *testing.T) float64 {
	t.Helper()
	families, err := ctrlmetrics.Registry.Gather()
	must(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() == "controller_runtime_webhook_requests_total" {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// TestWebhook is the whole of it: the API server calls the webhooks of two
// managers that have nothing but their shipped rights, as people use kubectl.
func TestWebhook(t *testing.T) {
	user := newHooked(t, "hooked")
	o := options{
		leaderElect: true, healthAddress: freeAddress(t), metricsAddress: "0", streamAddress: freeAddress(t), webhookAddress: freeAddress(t),
		namespace: managerNamespace, podName: "manager-1", proxyImage: "proxy:test", clusterDomain: "cluster.local", sharedProcess: true,
	}
	standby := o
	standby.podName, standby.healthAddress, standby.streamAddress, standby.webhookAddress = "manager-2", freeAddress(t), freeAddress(t), freeAddress(t)
	shippedWebhook(t, o.webhookAddress, standby.webhookAddress)
	// What came in before there was a webhook.
	user.must(t, fmt.Sprintf(hookedPlugin, "old", "many"), "apply", "-n", "hooked", "-f", "-")

	stop := runManager(t, o)
	stopStandby := runManager(t, standby)
	awaitReady(t, o.healthAddress)
	awaitReady(t, standby.healthAddress)
	if out, ok := user.apply(t, fmt.Sprintf(hookedPlugin, "nobodys", "many")); !ok {
		t.Errorf("without any class of ours: %s", out)
	}
	gw := &v1alpha1.KongIstioGateway{}
	gw.Name, gw.Namespace, gw.Spec.IngressClassName = "edge", "hooked", "hooked"
	must(t, kube.Create(t.Context(), gw))
	awaitHooked(t, user)

	t.Run("refusals", func(t *testing.T) { checkRefusals(t, user) })
	t.Run("warnings", func(t *testing.T) { checkWarnings(t, user) })
	t.Run("what is not ours is not sent", func(t *testing.T) { checkStrangers(t, user) })
	t.Run("what was wrong before can be labelled and deleted", func(t *testing.T) {
		user.must(t, "", "label", "-n", "hooked", "kongplugin", "old", "a=b")
		user.must(t, "", "delete", "-n", "hooked", "kongplugin", "old")
	})
	t.Run("the registration is kept", func(t *testing.T) { checkKept(t) })

	stopStandby()
	stop()
	t.Run("an outage is in nobody's way", func(t *testing.T) { checkOutage(t, user) })
}

// TestWebhookForeignCertificates has somebody else make and register the
// certificate, as cert-manager and OLM do.
func TestWebhookForeignCertificates(t *testing.T) {
	user := newHooked(t, "foreign")
	dir, ca := foreignCertificate(t)
	o := options{
		leaderElect: true, healthAddress: freeAddress(t), metricsAddress: "0", streamAddress: freeAddress(t),
		webhookAddress: freeAddress(t), webhookCertDir: dir,
		namespace: managerNamespace, podName: "manager-1", proxyImage: "proxy:test", clusterDomain: "cluster.local", sharedProcess: true,
	}
	shippedWebhook(t, o.webhookAddress, o.webhookAddress)
	configuration := &admissionv1.ValidatingWebhookConfiguration{}
	key := types.NamespacedName{Name: admission.ConfigurationName}
	must(t, kube.Get(t.Context(), key, configuration))
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = ca
	}
	must(t, kube.Update(t.Context(), configuration))
	runManager(t, o)
	awaitReady(t, o.healthAddress)
	class := &networkingv1.IngressClass{Spec: networkingv1.IngressClassSpec{Controller: render.IngressController}}
	class.Name, class.Annotations = "foreign", map[string]string{render.AnnotationOwnerUID: "uid"}
	must(t, kube.Create(t.Context(), class))
	t.Cleanup(func() { must(t, kube.Delete(context.WithoutCancel(t.Context()), class)) })
	apiserver.Eventually(t, "the API server calls", func() error {
		out, ok := user.kubectl(t, fmt.Sprintf(hookedConsumer, "probe", "foreign", "probe", "none"), "apply", "-n", "foreign", "--dry-run=server", "-f", "-")
		if ok || !strings.Contains(out, "denied the request") {
			return errors.New(out)
		}
		return nil
	})
	// Calls come from the moment on that there are certificates, also before there are conditions.
	apiserver.Eventually(t, "the conditions are written, and the certificates left alone", func() error {
		must(t, kube.Get(t.Context(), key, configuration))
		for _, w := range configuration.Webhooks {
			if !bytes.Equal(w.ClientConfig.CABundle, ca) || len(w.MatchConditions) == 0 {
				return fmt.Errorf("%s: %+v", w.Name, w)
			}
		}
		return nil
	})
}

// foreignCertificate returns a directory with a certificate for the shipped
// Service, and who signed it.
func foreignCertificate(t *testing.T) (dir string, ca []byte) {
	t.Helper()
	roots, _, err := streamca.Roots(nil).Rotate(time.Now())
	must(t, err)
	leaf, err := roots[0].Issue([]string{webhookService + "." + managerNamespace + ".svc"}, time.Now())
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	must(t, err)
	dir = t.TempDir()
	for file, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		must(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600))
	}
	return dir, roots.Bundle()
}

func TestWebhookAddress(t *testing.T) {
	for _, address := range []string{"9443", ":0", ":http", ":70000", ":-1"} {
		if _, err := webhookServer(options{webhookAddress: address}, nil); err == nil || !strings.Contains(err.Error(), "--webhook-bind-address") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := webhookServer(options{webhookAddress: "[::1]:9443"}, nil); err != nil {
		t.Error(err)
	}
}

// awaitReady waits until a manager's readiness says that it answers reviews.
func awaitReady(t *testing.T, address string) {
	t.Helper()
	apiserver.Eventually(t, "readiness", func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			return errors.New(string(body))
		}
		return nil
	})
}

// awaitHooked waits until the API server calls both managers: it learns of the
// certificates and of the class a moment after they are written.
func awaitHooked(t *testing.T, user *people) {
	t.Helper()
	for _, manifest := range []string{fmt.Sprintf(hookedPlugin, "probe", "many"), fmt.Sprintf(hookedConsumer, "probe", "hooked", "probe", "none")} {
		apiserver.Eventually(t, "the API server calls", func() error {
			if out, ok := user.kubectl(t, manifest, "apply", "-n", "hooked", "--dry-run=server", "-f", "-"); ok {
				return errors.New(out)
			}
			return nil
		})
	}
}
