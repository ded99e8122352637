// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
)

// leaseName is the Lease that the leader holds.
const leaseName = "kong-istio-gateway-manager"

// streamService is the headless Service through which proxies reach the managers.
const streamService = "kong-istio-gateway-stream"

// options are the manager's settings.
type options struct {
	leaderElect    bool
	healthAddress  string
	metricsAddress string
	metricsCertDir string
	streamAddress  string
	webhookAddress string
	webhookCertDir string
	namespace      string
	podName        string
	proxyImage     string
	clusterDomain  string
	logLevel       slog.Level
	// version asks for the version instead of a manager; nothing else is checked then.
	version bool
	// sharedProcess lets several managers live in one process, one after the other; no flag sets it.
	sharedProcess bool
}

// streamHost is the name that proxies connect to and check the certificate against.
func (o options) streamHost() string { return fmt.Sprintf("%s.%s.svc", streamService, o.namespace) }

// parseOptions reads flags, and from the environment what Kubernetes and OLM put there.
//
// Errors: unknown flags, and required settings that are missing.
func parseOptions(args []string, getenv func(string) string, output io.Writer) (options, error) {
	o := options{namespace: getenv("POD_NAMESPACE"), podName: getenv("POD_NAME")}
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.BoolVar(&o.leaderElect, "leader-elect", false, "write and stream only while holding the Lease "+leaseName)
	fs.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of /metrics, HTTPS with authentication; 0 turns it off")
	fs.StringVar(&o.metricsCertDir, "metrics-cert-dir", "", "directory with tls.crt and tls.key for /metrics; self-signed without it")
	fs.StringVar(&o.streamAddress, "config-stream-bind-address", ":8005", "address on which the leader streams configuration to proxies")
	fs.StringVar(&o.webhookAddress, "webhook-bind-address", "0", "address of the admission webhook, HTTPS, such as :9443; 0 turns it off")
	fs.StringVar(&o.webhookCertDir, "webhook-cert-dir", "",
		"directory with tls.crt and tls.key for the webhook, which somebody else registers with the API server; without it the manager makes both")
	fs.StringVar(&o.proxyImage, "proxy-image", getenv("RELATED_IMAGE_PROXY"), "image of gateways that name none (environment: RELATED_IMAGE_PROXY)")
	fs.StringVar(&o.clusterDomain, "cluster-domain", "cluster.local", "the cluster's DNS domain")
	fs.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "least level that is logged: debug, info, warn or error")
	fs.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.version {
		return o, nil
	}
	var errs []error
	if fs.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q: every setting is a flag", fs.Arg(0)))
	}
	if o.namespace == "" {
		errs = append(errs, errors.New("environment POD_NAMESPACE is not set: it must be the manager's own namespace"))
	}
	if o.proxyImage == "" {
		errs = append(errs, errors.New("no proxy image: set --proxy-image or environment RELATED_IMAGE_PROXY"))
	}
	return o, errors.Join(errs...)
}
