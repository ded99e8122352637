// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/debian"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/image"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/nodeconfig"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/toolchain"
)

// UpOptions are the choices of `up`.
type UpOptions struct {
	// Istio is false to leave Istio out.
	Istio bool
	// Policy is Istio's outbound traffic policy; empty keeps what the cluster
	// has, or ALLOW_ANY.
	Policy addons.Policy
	// Timeout bounds each wait for something to become ready.
	Timeout time.Duration
}

// bringUp is one run of `up`.
type bringUp struct {
	*Cluster
	options  UpOptions
	report   *progress.Reporter
	settings Settings
	revision string
	images   []*image.Image
	client   *node.Client
	clients  *kubernetes.Clientset
	specs    map[string]node.Spec
	// launched is when this run launched the node; zero if it was up already.
	launched time.Time
}

// Up brings the cluster up, or repairs one that is up. It may be interrupted
// and repeated at any point.
func (c *Cluster) Up(ctx context.Context, options UpOptions) error {
	if os.Geteuid() != 0 {
		return errors.New("namespaces need root: run the same command with sudo")
	}
	b := &bringUp{Cluster: c, options: options}
	type step struct {
		name string
		run  func(context.Context) error
		// long ones are not bounded by the timeout.
		long bool
	}
	steps := []step{
		{"Debian packages", b.packages, true},
		{"build tools", b.tools, true},
		{"build images", b.assembleAll, true},
		{"node", b.node, false},
		{"control plane", b.controlPlane, false},
		{"load images", b.loadImages, false},
		{"kubelet and kube-proxy", b.kubelet, false},
		{"DNS", b.dns, false},
	}
	if options.Istio {
		steps = append(steps, step{"Istio", b.istio, false})
	}
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	b.report = progress.New(c.Progress, names...)
	unlock, err := c.lock(ctx, true)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.prepareStateDir(); err != nil {
		return err
	}
	for _, s := range steps {
		if err := b.report.Run(ctx, func(ctx context.Context) error {
			if !s.long {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, options.Timeout)
				defer cancel()
			}
			return s.run(ctx)
		}); err != nil {
			// Whatever broke because of an interruption is not the news.
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
	}
	return nil
}

func (b *bringUp) packages(ctx context.Context) error {
	absent := debian.Missing(debian.Required(), debian.OnDisk)
	if len(absent) == 0 {
		return nil
	}
	b.report.Note("installing %d with apt-get", len(absent))
	return debian.Install(ctx, absent, b.Progress)
}

func (b *bringUp) tools(ctx context.Context) (err error) {
	builder := &toolchain.Builder{CacheDir: b.CacheDir, ToolsDir: b.ToolsDir(), Log: b.BuildLog, Report: b.report.Note}
	b.settings, err = readSettings(b.Settings())
	if err != nil {
		return err
	}
	b.settings.Tools, err = builder.Build(ctx, toolchain.Modules())
	return err
}

func (b *bringUp) assembleAll(ctx context.Context) (err error) {
	b.images, err = b.assemble(ctx, b.settings.Tools, b.options.Istio)
	b.settings.Istio, b.settings.NoSidecars = b.options.Istio, ""
	if err != nil || !b.options.Istio {
		return err
	}
	b.report.Note("sidecar image")
	img, err := b.assembleSidecar(ctx, b.settings.Tools["pilot-agent"])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.settings.NoSidecars, _, _ = strings.Cut(err.Error(), "\n")
		b.report.Note("%d images, no sidecar", len(b.images))
		b.report.Say("NO SIDECARS: %v", err)
		b.report.Say("going on without them; everything that needs the mesh will be reported as not run")
		return nil
	}
	b.report.Note("%d images", len(b.images)+1)
	b.images = append(b.images, img)
	return nil
}

// node launches the node, unless it runs already.
func (b *bringUp) node(ctx context.Context) (err error) {
	if b.client, err = node.Connect(b.Record()); err != nil {
		return err
	}
	if b.client == nil {
		// What an earlier node left, for instance when it was killed.
		if err := node.RemoveCgroups(ctx, b.ID()); err != nil {
			return err
		}
		if b.settings.Ports, err = b.choosePorts(); err != nil {
			return err
		}
	}
	if b.revision, err = b.installExecutable(); err != nil {
		return err
	}
	if err := b.settings.write(b.Settings()); err != nil {
		return err
	}
	if err := nodeconfig.Write(b.Cluster.Cluster, b.settings.Ports.APIServer(), time.Now()); err != nil {
		return err
	}
	if b.specs, err = nodeconfig.Components(b.Cluster.Cluster, b.settings.Tools, b.revision, b.settings.Ports.First); err != nil {
		return err
	}
	if b.client != nil {
		b.report.Note("was up already")
		return nil
	}
	b.launched = time.Now()
	b.client, err = node.Launch(ctx, node.Options{
		Executable: b.Executable(), StateDir: b.StateDir, ID: b.ID(), Record: b.Record(), Log: b.Log("node"),
	})
	if err != nil && ctx.Err() == nil {
		return &progress.Failure{Part: "node", Log: b.Log("node"), Err: err}
	}
	return err
}

// choosePorts keeps the ports that the cluster had, if they are free.
func (b *bringUp) choosePorts() (layout.PortBlock, error) {
	if had := b.settings.Ports; had.First != 0 && !portTaken(had.First) {
		return had, nil
	}
	return layout.ChoosePortBlock(b.ID(), portTaken)
}

func portTaken(port int) bool {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	_ = listener.Close()
	return false
}

func (b *bringUp) start(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := b.client.Apply(ctx, b.specs[name]); err != nil {
			return &progress.Failure{Part: name, Log: b.Log(name), Err: err}
		}
	}
	return nil
}

func (b *bringUp) controlPlane(ctx context.Context) (err error) {
	if err := b.start(ctx, nodeconfig.Etcd, nodeconfig.Containerd, nodeconfig.APIServer, nodeconfig.Access); err != nil {
		return err
	}
	if b.clients, err = b.kubernetesClient(); err != nil {
		return err
	}
	b.report.Note("waiting for the API server")
	if err := b.waitFor(ctx, b.client, nodeconfig.APIServer, apiReady(b.clients)); err != nil {
		return err
	}
	b.report.Note("API server on https://127.0.0.1:%d", b.settings.Ports.APIServer())
	return b.start(ctx, nodeconfig.ControllerManager, nodeconfig.Scheduler)
}

func (b *bringUp) loadImages(ctx context.Context) error {
	b.report.Note("waiting for containerd")
	err := b.waitFor(ctx, b.client, nodeconfig.Containerd, func(ctx context.Context) error {
		_, err := b.imageNames(ctx, b.client, b.settings)
		return err
	})
	if err != nil {
		return err
	}
	b.report.Note("importing")
	imported, err := b.Load(ctx, b.images)
	b.report.Note("%d imported, %d were there", imported, len(b.images)-imported)
	return err
}

func (b *bringUp) kubelet(ctx context.Context) error {
	if err := b.start(ctx, nodeconfig.Kubelet, nodeconfig.KubeProxy); err != nil {
		return err
	}
	b.report.Note("waiting for node %s", layout.NodeName)
	if err := b.waitFor(ctx, b.client, nodeconfig.Kubelet, nodeReady(b.clients, layout.NodeName, b.launched)); err != nil {
		return err
	}
	b.report.Note("node %s Ready", layout.NodeName)
	return nil
}

func (b *bringUp) dns(ctx context.Context) error {
	if err := b.apply(ctx, b.settings, addons.CoreDNS()); err != nil {
		return fmt.Errorf("CoreDNS: %w", err)
	}
	return b.waitForPods(ctx, b.client, "kube-system", "coredns", deploymentReady(b.clients, "kube-system", "coredns"))
}

func (b *bringUp) istio(ctx context.Context) error {
	policy := b.options.Policy
	if policy == "" {
		policy = b.settings.Policy
	}
	if policy == "" {
		policy = addons.AllowAny
	}
	if err := b.applyIstio(ctx, b.settings, policy); err != nil {
		return err
	}
	b.settings.Policy = policy
	if err := b.settings.write(b.Settings()); err != nil {
		return err
	}
	b.report.Note("waiting for istiod")
	if err := b.waitForPods(ctx, b.client, addons.IstioNamespace, "istiod", deploymentReady(b.clients, addons.IstioNamespace, "istiod")); err != nil {
		return err
	}
	b.report.Note("%s, outbound traffic policy %s", layout.IstioVersion, policy)
	return nil
}
