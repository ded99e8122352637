// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
)

// kubectl is the command of the built kubectl against the cluster.
func (c *Cluster) kubectl(ctx context.Context, settings Settings, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, settings.Tools["kubectl"], args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	return cmd
}

// stderrOf returns what a command that was run with Output said before it failed.
func stderrOf(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return ""
	}
	return ": " + strings.TrimSpace(string(exit.Stderr))
}

// Kubectl returns the command of the built kubectl against the running cluster.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (*exec.Cmd, error) {
	_, settings, err := c.connect()
	if err != nil {
		return nil, err
	}
	return c.kubectl(ctx, settings, args...), nil
}

// apply applies a manifest, server-side: Istio's is too large for the annotation
// that client-side apply keeps.
func (c *Cluster) apply(ctx context.Context, settings Settings, manifest []byte) error {
	cmd := c.kubectl(ctx, settings, "apply", "--server-side", "--force-conflicts", "--field-manager=local-cluster", "-f", "-")
	cmd.Stdin = bytes.NewReader(manifest)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = nil, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// applyIstio renders Istio from its own charts, which are compiled into
// istioctl, and applies it.
func (c *Cluster) applyIstio(ctx context.Context, settings Settings, policy addons.Policy) error {
	clients, err := c.kubernetesClient()
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: addons.IstioNamespace}}
	if _, err := clients.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	cmd := exec.CommandContext(ctx, settings.Tools["istioctl"], addons.IstioArgs(policy)...)
	// istioctl must not look at another cluster that the user works with.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("istioctl manifest generate: %w: %s", err, strings.TrimSpace(diagnostics.String()))
	}
	return c.apply(ctx, settings, out.Bytes())
}

// SetPolicy switches Istio's outbound traffic policy on the running cluster and
// waits until istiod has read it.
func (c *Cluster) SetPolicy(ctx context.Context, policy addons.Policy) error {
	unlock, err := c.lockRunning(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	client, settings, err := c.connect()
	if err != nil {
		return err
	}
	if !settings.Istio {
		return errors.New("the cluster was brought up without Istio: run `up` first")
	}
	if err := c.applyIstio(ctx, settings, policy); err != nil {
		return err
	}
	settings.Policy = policy
	if err := settings.write(c.Settings()); err != nil {
		return err
	}
	clients, err := c.kubernetesClient()
	if err != nil {
		return err
	}
	return c.waitForPods(ctx, client, addons.IstioNamespace, "istiod", func(ctx context.Context) error {
		return c.istiodHasPolicy(ctx, settings, clients, policy)
	})
}
