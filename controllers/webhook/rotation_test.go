// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/controllers/webhook"
	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/streamca"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

const (
	namespace  = "kong-istio-system"
	service    = "kong-istio-gateway-webhook"
	serverName = service + "." + namespace + ".svc"
	controller = "gateway.konghq.com/kong-istio-gateway"
	owner      = "gateway.konghq.com/gateway-uid"
)

// rig is an API server that calls a webhook of this process. The webhook's
// certificate is one replica's, the published roots are another's, the leader's.
type rig struct {
	kube            client.Client
	leader, replica *streamca.Authority
	address         string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server, err := apiserver.Start(filepath.Join("config", "kong-crds"))
	must(t, err)
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	scheme, err := routes.Scheme()
	must(t, err)
	must(t, admissionv1.AddToScheme(scheme))
	r := &rig{}
	r.kube, err = client.New(server.Config, client.Options{Scheme: scheme})
	must(t, err)
	ns := &corev1.Namespace{}
	ns.Name = namespace
	must(t, r.kube.Create(t.Context(), ns))

	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	r.address = l.Addr().String()
	must(t, l.Close())
	changed := make(chan event.GenericEvent, 16)
	store := &streamca.SecretStore{Reader: r.kube, Writer: r.kube, Name: types.NamespacedName{Namespace: namespace, Name: "roots"}}
	authority := func(onBundle func([]byte)) *streamca.Authority {
		return streamca.New(streamca.Config{Store: store, ServerNames: []string{serverName}, OnBundle: onBundle})
	}
	r.leader = authority(func([]byte) { changed <- event.GenericEvent{Object: &corev1.Namespace{}} })
	r.replica = authority(func([]byte) {})
	r.register(t)
	r.run(t, server, changed)
	return r
}

// register applies the shipped configuration with a Service that leads here.
func (r *rig) register(t *testing.T) {
	t.Helper()
	_, port, err := net.SplitHostPort(r.address)
	must(t, err)
	n, err := strconv.ParseInt(port, 10, 32)
	must(t, err)
	number := int32(n)
	text, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "webhook", "webhook_configuration.yaml"))
	must(t, err)
	configuration := &admissionv1.ValidatingWebhookConfiguration{}
	must(t, yaml.UnmarshalStrict(text, configuration))
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.Service.Port = &number
	}
	must(t, r.kube.Create(t.Context(), configuration))
	here := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}
	here.Namespace, here.Name = namespace, service
	must(t, r.kube.Create(t.Context(), here))
}

func (r *rig) run(t *testing.T, server *apiserver.Server, changed chan event.GenericEvent) {
	t.Helper()
	skip := true // of the names of controllers, which are unique in a process
	mgr, err := ctrl.NewManager(server.Config, ctrl.Options{
		Scheme: r.kube.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: config.Controller{SkipNameValidation: &skip},
	})
	must(t, err)
	options := routes.CacheOptions(r.kube.Scheme())
	options.ReaderFailOnMissingInformer = true
	objects, err := cache.New(server.Config, options)
	must(t, err)
	options, err = webhook.CacheOptions(schemas.All())
	must(t, err)
	own, err := cache.New(server.Config, options)
	must(t, err)
	c := webhook.Config{
		Objects: objects, Own: own, Reader: r.kube, Writer: r.kube, Scheme: r.kube.Scheme(), Schemas: schemas.All(),
		Controller: controller, OwnerAnnotation: owner, Bundle: r.leader.Bundle,
	}
	host, port, err := net.SplitHostPort(r.address)
	must(t, err)
	number, err := strconv.Atoi(port)
	must(t, err)
	hooks := ctrlwebhook.NewServer(ctrlwebhook.Options{Host: host, Port: number, TLSOpts: []func(*tls.Config){
		func(c *tls.Config) { c.GetCertificate = r.replica.TLSConfig().GetCertificate },
	}})
	hooks.Register(webhook.Path, webhook.NewHandler(c))
	must(t, mgr.Add(hooks))
	must(t, mgr.Add(objects))
	must(t, mgr.Add(own))
	must(t, webhook.Setup(t.Context(), mgr, c, changed))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// serve makes a class one of ours, and waits until the API server knows: it then
// knows all that was written into the configuration before.
func (r *rig) serve(t *testing.T, class string) {
	t.Helper()
	c := &networkingv1.IngressClass{Spec: networkingv1.IngressClassSpec{Controller: controller}}
	c.Name, c.Annotations = class, map[string]string{owner: "uid"}
	must(t, r.kube.Create(t.Context(), c))
	apiserver.Eventually(t, "the API server knows class "+class, func() error {
		return r.refused(t.Context(), "KongConsumer", map[string]any{"username": "ann", "credentials": []any{"none"}}, class)
	})
}

// refused returns nil when the webhook refuses an object.
func (r *rig) refused(ctx context.Context, kind string, content map[string]any, class string) error {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "configuration.konghq.com/v1", "kind": kind}}
	for k, v := range content {
		o.Object[k] = v
	}
	o.SetNamespace("default")
	o.SetName("probe")
	o.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": class})
	err := r.kube.Create(ctx, o, client.DryRunAll)
	if err == nil {
		return errors.New("it was admitted")
	}
	if !strings.Contains(err.Error(), "denied the request") {
		return err
	}
	return nil
}

// published waits until the configuration holds a number of roots.
func (r *rig) published(t *testing.T, roots int) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	apiserver.Eventually(t, "the roots are published", func() error {
		c := &admissionv1.ValidatingWebhookConfiguration{}
		if err := r.kube.Get(t.Context(), types.NamespacedName{Name: admission.ConfigurationName}, c); err != nil {
			return err
		}
		for _, w := range c.Webhooks {
			bundle := w.ClientConfig.CABundle
			if n := strings.Count(string(bundle), "BEGIN CERTIFICATE"); n != roots {
				return fmt.Errorf("%s has %d roots, want %d", w.Name, n, roots)
			}
			pool.AppendCertsFromPEM(bundle)
		}
		return nil
	})
	return pool
}

// served returns the serial number of what a new connection is shown, which it
// believes.
func (r *rig) served(t *testing.T, roots *x509.CertPool) string {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS13}}
	connection, err := d.DialContext(t.Context(), "tcp", r.address)
	must(t, err)
	defer func() { _ = connection.Close() }()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestRotation takes the webhook through the life of a root, while objects that
// are wrong are created all the time: under failurePolicy Ignore a call that
// fails shows as an object that is admitted.
func TestRotation(t *testing.T) {
	now := time.Now()
	r := newRig(t)
	step := func(a *streamca.Authority, at time.Time) {
		t.Helper()
		if _, err := a.Step(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	// The first root was made long ago; it is due for a successor an hour from then.
	begin := now.Add(-streamca.RotateAfter - 26*time.Hour)
	step(r.leader, begin)
	for _, a := range []*streamca.Authority{r.leader, r.replica} {
		step(a, now.Add(-27*time.Hour))
	}
	r.published(t, 1)
	r.serve(t, "one")

	ctx, stop := context.WithCancel(t.Context())
	var calls, missed atomic.Int64
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			err := r.refused(ctx, "KongPlugin", map[string]any{"plugin": "teleport"}, "")
			if err != nil && ctx.Err() == nil {
				missed.Add(1)
				t.Errorf("call %d: %v", calls.Load(), err)
			}
			calls.Add(1)
		}
	}()
	more := func() {
		t.Helper()
		want := calls.Load() + 20
		apiserver.Eventually(t, "further calls", func() error {
			if calls.Load() < want {
				return errors.New("not yet")
			}
			return nil
		})
	}
	more()

	// The successor is published a day before it signs.
	step(r.leader, now.Add(-26*time.Hour+time.Minute))
	both := r.published(t, 2)
	r.serve(t, "two")
	more()
	before := r.served(t, both)
	step(r.replica, now)
	if after := r.served(t, both); after == before {
		t.Error("the new root does not sign yet")
	}
	more()

	// The first one goes when nothing that it signed is valid any more.
	step(r.leader, now.Add(streamca.LeafValidity-time.Hour))
	r.served(t, r.published(t, 1))
	r.serve(t, "three")
	more()
	stop()
	<-stopped
	if missed.Load() > 0 {
		t.Errorf("%d of %d calls failed", missed.Load(), calls.Load())
	}
}
