// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/cluster"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

func (a *app) cluster() (*cluster.Cluster, error) {
	plan, err := a.plan()
	if err != nil {
		return nil, err
	}
	return &cluster.Cluster{Cluster: plan, Progress: a.stderr}, nil
}

// parsed parses the flags and returns the cluster that they name.
func (a *app) parsed(fs *flag.FlagSet, args []string) (*cluster.Cluster, error) {
	if err := fs.Parse(args); err != nil {
		return nil, parseError(err)
	}
	return a.cluster()
}

const defaultTimeout = 5 * time.Minute

func runUp(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	policy := fs.String("outbound-traffic-policy", "", "Istio's policy, ALLOW_ANY or REGISTRY_ONLY (default: what the cluster has, else ALLOW_ANY)")
	without := fs.Bool("without-istio", false, "leave Istio out")
	timeout := fs.Duration("timeout", defaultTimeout, "how long each part may take to become ready")
	c, err := a.parsed(fs, args)
	if err != nil {
		return err
	}
	options := cluster.UpOptions{Istio: !*without, Timeout: *timeout}
	if *policy != "" {
		if options.Policy, err = addons.ParsePolicy(*policy); err != nil {
			return errUsage{err}
		}
	}
	began := time.Now()
	if err := c.Up(ctx, options); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "cluster %s is up after %s; kubectl: KUBECONFIG=%s\n", c.Name, progress.Round(time.Since(began)), c.Kubeconfig())
	return nil
}

func runDown(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	c, err := a.parsed(fs, args)
	if err != nil {
		return err
	}
	return c.Down(ctx)
}

func runStatus(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	asJSON := fs.Bool("json", false, "print everything as JSON")
	c, err := a.parsed(fs, args)
	if err != nil {
		return err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(status)
	} else {
		printStatus(a.stdout, status)
	}
	if err == nil && status.State != cluster.Running {
		return errStatus(exitFailed)
	}
	return err
}

func printStatus(w io.Writer, s *cluster.Status) {
	fmt.Fprintf(w, "cluster %s: %s\n", s.Name, s.State)
	for _, problem := range s.Problems {
		fmt.Fprintf(w, "  problem: %s\n", problem)
	}
	if s.State == cluster.Stopped {
		return
	}
	fmt.Fprintf(w, "  API server  %s (KUBECONFIG=%s)\n", s.APIServer, s.Kubeconfig)
	fmt.Fprintf(w, "  mesh        ready %t, sidecars %t %s, outbound traffic policy %s\n", s.Mesh.Ready, s.Mesh.Sidecars, s.Mesh.Reason, s.Mesh.OutboundTrafficPolicy)
	for _, lb := range s.LoadBalancers {
		for _, port := range lb.Ports {
			fmt.Fprintf(w, "  service     %s/%s %s:%d/%s on the host: %s\n", lb.Namespace, lb.Name, lb.Address, port.Port.Port, port.Protocol, port.HostAddress)
		}
	}
	for _, component := range s.Components {
		fmt.Fprintf(w, "  %-24s %-8s pid %-7d restarts %d, since %s\n", component.Name, component.State, component.PID, component.Restarts, component.Since.Format(time.TimeOnly))
	}
	fmt.Fprintf(w, "  logs        %s\n", s.LogDir)
}

func runKubeconfig(a *app, _ context.Context, fs *flag.FlagSet, args []string) error {
	raw := fs.Bool("raw", false, "print the content instead of the path")
	c, err := a.parsed(fs, args)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(c.Kubeconfig())
	if err != nil {
		return cluster.ErrDown
	}
	if *raw {
		_, err = a.stdout.Write(data)
		return err
	}
	fmt.Fprintln(a.stdout, c.Kubeconfig())
	return nil
}

func runKubectl(a *app, ctx context.Context, _ *flag.FlagSet, args []string) error {
	c, err := a.cluster()
	if err != nil {
		return err
	}
	cmd, err := c.Kubectl(ctx, args...)
	if err != nil {
		return err
	}
	return a.runPassThrough(cmd)
}

func runIstio(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	policy := fs.String("outbound-traffic-policy", "", "ALLOW_ANY or REGISTRY_ONLY")
	timeout := fs.Duration("timeout", defaultTimeout, "how long istiod may take")
	c, err := a.parsed(fs, args)
	if err != nil {
		return err
	}
	parsed, err := addons.ParsePolicy(*policy)
	if err != nil {
		return errUsage{err}
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	return c.SetPolicy(ctx, parsed)
}
