// SPDX-License-Identifier: Apache-2.0

// Command manager is the operator and the control plane of Kong Istio Gateway.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/controllers/gateway"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "translate" {
		os.Exit(runTranslate(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Getenv, os.Stderr))
}

func run(args []string, getenv func(string) string, stderr io.Writer) int {
	o, err := parseOptions(args, getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	if o.version {
		fmt.Println("kong-istio-gateway-manager/" + version)
		return 0
	}
	logger := newLogger(o, stderr)
	ctrl.SetLogger(logger)
	klog.SetLogger(logger.WithName("client-go"))
	logger.Info("The manager starts", "version", version)
	if err := start(o); err != nil {
		logger.Error(err, "The manager stops")
		return 1
	}
	return 0
}

func newLogger(o options, w io.Writer) logr.Logger {
	return logr.FromSlogHandler(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.logLevel}))
}

// collectAt is how much garbage there may be, in percent of what is in use. The manager keeps much and changes little: half
// of the memory that Go's default leaves to garbage would lie idle.
const collectAt = 20

func start(o options) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	mgr, err := assemble(config, o)
	if err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}

// assemble makes a manager with everything registered that it runs.
func assemble(config *rest.Config, o options) (ctrl.Manager, error) {
	mgr, err := newManager(config, o)
	if err != nil {
		return nil, err
	}
	parts, err := newControlPlane(mgr, o)
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if err := setupOperator(mgr, o, parts); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	if err := setupWebhook(mgr, o, parts.Objects); err != nil {
		return nil, fmt.Errorf("admission webhook: %w", err)
	}
	return mgr, setupHealth(mgr)
}

// newScheme holds the kinds that the manager reads as typed objects.
func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func newManager(rc *rest.Config, o options) (ctrl.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	// One write per object that changed, and a few reads: bursts are a whole fleet of gateways at start.
	rc.QPS, rc.Burst = 50, 200
	mgr, err := ctrl.NewManager(rc, ctrl.Options{
		Scheme: scheme,
		Metrics: metricsserver.Options{
			BindAddress: o.metricsAddress, SecureServing: true, CertDir: o.metricsCertDir, FilterProvider: metricsAuthentication,
		},
		HealthProbeBindAddress: o.healthAddress,
		LeaderElection:         o.leaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: o.namespace,
		// The process ends right after the manager has stopped, so the lease may be given up at once.
		LeaderElectionReleaseOnCancel: true,
		Cache:                         cache.Options{ByObject: gateway.CacheByObject()},
		Controller:                    config.Controller{SkipNameValidation: &o.sharedProcess},
	})
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	return mgr, nil
}

func setupHealth(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("ping", healthz.Ping)
}
