// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/controllers/stream"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
	"github.com/kong/kong-istio-gateway/test/apiserver"
)

// deadline bounds every wait; machines may be busy.
const deadline = 60 * time.Second

var (
	// managerConfig has no right but those of the shipped role.
	managerConfig *rest.Config
	// kube is a client without cache, as a user of the cluster has.
	kube       client.Client
	kubeconfig string
	scheme     *runtime.Scheme
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	api, err := apiserver.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := api.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	if err := prepare(api); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.Remove(kubeconfig) }()
	return m.Run()
}

// prepare makes clients, and the manager's user with the shipped role.
func prepare(api *apiserver.Server) (err error) {
	api.Config.QPS, api.Config.Burst = 200, 400
	if scheme, err = routes.Scheme(); err != nil {
		return err
	}
	if kube, err = client.New(api.Config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	for _, name := range []string{"role.yaml", "role_binding.yaml"} {
		text, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "rbac", name))
		if err != nil {
			return err
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &o.Object); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := kube.Create(context.Background(), o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	managerConfig, err = api.User("system:serviceaccount:kong-istio-system:kong-istio-gateway-manager",
		"system:serviceaccounts", "system:serviceaccounts:kong-istio-system", "system:authenticated")
	if err != nil {
		return err
	}
	managerConfig.QPS, managerConfig.Burst = 200, 400
	kubeconfig, err = writeKubeconfig(api.Config)
	return err
}

func writeKubeconfig(c *rest.Config) (string, error) {
	f, err := os.CreateTemp("", "kubeconfig-")
	if err != nil {
		return "", err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*config, f.Name()); err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// kubectl runs the real kubectl, as people do, with YAML on its standard input.
func kubectl(t *testing.T, stdin string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv(apiserver.AssetsVariable), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
}

// installKongCRDs applies Kong's CRDs as they are shipped.
func installKongCRDs(t *testing.T) {
	t.Helper()
	dir := filepath.Join(apiserver.Root(), "config", "kong-crds")
	kubectl(t, "", "apply", "--server-side", "-k", dir)
	kubectl(t, "", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
}

// installReferenceGrants applies the CRD of Gateway API's ReferenceGrant.
func installReferenceGrants(t *testing.T) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatalf("where is Gateway API: %v", err)
	}
	file := filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "standard", "gateway.networking.k8s.io_referencegrants.yaml")
	kubectl(t, "", "apply", "--server-side", "-f", file)
	kubectl(t, "", "wait", "--for=condition=Established", "crd", "referencegrants.gateway.networking.k8s.io", "--timeout=60s")
}

// fakeServer stands in for the stream's server: a fleet of one proxy that
// acknowledges when told to.
type fakeServer struct {
	mu         sync.Mutex
	published  map[configsync.Gateway]configsync.Snapshot
	count      map[configsync.Gateway]int
	acked      map[configsync.Gateway]configsync.Position
	rejections map[configsync.Gateway][]server.Rejection
	reports    map[configsync.Gateway]configsync.Report
	omissions  map[configsync.Gateway][]server.Omission
}

func (s *fakeServer) Publish(g configsync.Gateway, snap configsync.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published[g] = snap
	s.count[g]++
	return nil
}

func (s *fakeServer) Forget(g configsync.Gateway) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.published, g)
}

func (s *fakeServer) Facts(g configsync.Gateway) server.Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := server.Facts{Rejections: s.rejections[g], Omissions: s.omissions[g]}
	if p, ok := s.acked[g]; ok {
		f.Proxies = []server.Proxy{{Position: p, Report: s.reports[g]}}
	}
	return f
}

// system is a running control plane with one gateway.
type system struct {
	t       *testing.T
	cp      *routes.ControlPlane
	server  *fakeServer
	gateway types.NamespacedName
	stop    func()
}

// start runs a control plane until the test ends. The class is the test's own,
// named after its namespace.
func start(t *testing.T, namespace string, change ...func(*routes.GatewaySpec)) *system {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	objects, err := cache.New(managerConfig, routes.CacheOptions(scheme))
	if err != nil {
		t.Fatal(err)
	}
	writer, err := client.New(managerConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	fake := &fakeServer{
		published: map[configsync.Gateway]configsync.Snapshot{}, count: map[configsync.Gateway]int{},
		acked: map[configsync.Gateway]configsync.Position{}, rejections: map[configsync.Gateway][]server.Rejection{},
		reports: map[configsync.Gateway]configsync.Report{}, omissions: map[configsync.Gateway][]server.Omission{},
	}
	s := &system{t: t, server: fake, gateway: types.NamespacedName{Namespace: namespace, Name: "edge"}, stop: stop}
	s.cp = routes.New(routes.Config{
		Cache: objects, Reader: writer, Writer: writer,
		Schemas:   schemas.All(),
		Publisher: stream.New(stream.Config{Server: fake, Reader: writer, Writer: writer, Logger: log}), Logger: log,
	})
	for _, run := range []func(context.Context) error{objects.Start, s.cp.Start} {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("the control plane ended: %v", err)
			}
		})
	}
	spec := s.spec()
	for _, f := range change {
		f(&spec)
	}
	s.cp.SetGateway(spec)
	return s
}

func (s *system) spec() routes.GatewaySpec {
	return routes.GatewaySpec{Key: s.gateway, UID: "0b1f3c5e-0000-4000-8000-000000000001", IngressClassName: s.gateway.Namespace, MeshMode: "sidecar"}
}

func (s *system) stream() configsync.Gateway {
	return configsync.Gateway{Namespace: s.gateway.Namespace, Name: s.gateway.Name}
}

// entities returns what was published last.
func (s *system) entities() (configsync.Position, []entity.Entity) {
	s.server.mu.Lock()
	snap, ok := s.server.published[s.stream()]
	s.server.mu.Unlock()
	if !ok {
		return configsync.Position{}, nil
	}
	var list []entity.Entity
	for e := range snap.Records.All() {
		if r := e.Value; !configsync.IsSetting(r.Key.Kind) {
			decoded, err := configsync.DecodeEntity(r)
			if err != nil {
				s.t.Fatal(err)
			}
			list = append(list, decoded)
		}
	}
	return snap.Position, list
}

// plugins returns the names of the plugins that were published last, with the
// routes they are on.
func (s *system) plugins() []string {
	_, list := s.entities()
	names := map[entity.ID]string{}
	for _, e := range list {
		if r, ok := e.(*entity.Route); ok {
			names[r.ID] = r.Name
		}
	}
	var out []string
	for _, e := range list {
		if p, ok := e.(*entity.Plugin); ok && p.Route != nil {
			out = append(out, p.Name+" on "+names[p.Route.ID])
		}
	}
	slices.Sort(out)
	return out
}

// acknowledge has the proxy take what was published last.
func (s *system) acknowledge() {
	position, _ := s.entities()
	s.server.mu.Lock()
	s.server.acked[s.stream()] = position
	s.server.mu.Unlock()
	s.cp.FleetChanged(context.Background(), s.gateway)
}

// eventually waits for a condition; the text of the last failure is shown.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, deadline, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, last)
	}
}

func want[T any](what string, got, want []T, equal func(a, b []T) bool) error {
	if !equal(got, want) {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}
