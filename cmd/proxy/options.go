// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/listener"
	"github.com/kong/kong-istio-gateway/internal/dataplane/resolver"
	streams "github.com/kong/kong-istio-gateway/internal/dataplane/stream"
	"github.com/kong/kong-istio-gateway/internal/dataplane/vault"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// options are the flags and environment of the process.
type options struct {
	version  bool
	logLevel slog.Level

	declarativeConfig string
	listen            []engine.ListenSpec
	statusListen      []string
	adminListen       []string
	streamListen      []listener.Spec
	settings          engine.Settings
	streamSettings    streams.Settings
	dns               resolver.Settings
	compatibility     entity.Line
	vault             vault.Settings
	accessLog         bool

	gateway           configsync.Gateway
	controlPlane      string
	controlPlaneName  string
	controlPlaneCADir string
	tokenFile         string
	snapshotDir       string
	dataDir           string
	mesh              string
	sidecarAdmin      string
	pod               pod

	drainDelay     time.Duration
	drainTimeout   time.Duration
	drainReadiness string
}

// pod is what the downward API tells about the pod the process runs in.
type pod struct{ name, namespace, uid, ip, node string }

const (
	defaultListen       = "0.0.0.0:8000, 0.0.0.0:8443 ssl http2"
	defaultStatusListen = "127.0.0.1:8007"
)

func parseOptions(args []string, lookup func(string) (string, bool)) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	env := func(name, fallback string) string {
		if v, ok := lookup(name); ok {
			return v
		}
		return fallback
	}
	var listen, streamListen, statusListen, adminListen, gateway, compatibility string
	var drainDelay, drainTimeout int
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	flags.TextVar(&o.logLevel, "log-level", kongLogLevel(env("KONG_LOG_LEVEL", "info")), "debug, info, warn or error")
	flags.StringVar(&o.declarativeConfig, "declarative-config", env("KONG_DECLARATIVE_CONFIG", ""), "Kong declarative file (format 3.0) to run alone with")
	flags.StringVar(&listen, "proxy-listen", env("KONG_PROXY_LISTEN", defaultListen), "HTTP listeners in Kong's syntax, or off")
	flags.StringVar(&streamListen, "stream-listen", env("KONG_STREAM_LISTEN", "off"), "TCP, TLS and UDP listeners in Kong's syntax, or off")
	flags.StringVar(&statusListen, "status-listen", env("KONG_STATUS_LISTEN", defaultStatusListen), "addresses of the Status API, or off")
	flags.StringVar(&adminListen, "admin-listen", env("KONG_ADMIN_LISTEN", "off"), "loopback addresses of the read-only Admin view, as 127.0.0.1:8001, or off")
	flags.BoolVar(&o.accessLog, "access-log", env("KONG_PROXY_ACCESS_LOG", "off") != "off", "write a line per request to standard output")
	flags.StringVar(&compatibility, "compatibility", env("KONG_COMPATIBILITY", string(entity.Line39)), "Kong whose defaults stand for what the configuration leaves open: 3.9 or 3.14")
	flags.StringVar(&gateway, "gateway", "", "namespace/name of the KongIstioGateway that this proxy belongs to")
	flags.StringVar(&o.controlPlane, "control-plane", "", "gRPC target of the control plane")
	flags.StringVar(&o.controlPlaneName, "control-plane-server-name", "", "name in the control plane's certificate")
	flags.StringVar(&o.controlPlaneCADir, "control-plane-ca-dir", "", "directory with the control plane's CA bundle")
	flags.StringVar(&o.tokenFile, "token-file", "", "file with the token to present to the control plane")
	flags.StringVar(&o.snapshotDir, "snapshot-dir", "", "directory with snapshot shards for a cold start")
	flags.StringVar(&o.dataDir, "data-dir", "", "directory to keep the last snapshot in")
	flags.StringVar(&o.mesh, "mesh", "none", "sidecar or none")
	flags.StringVar(&o.sidecarAdmin, "sidecar-admin", "127.0.0.1:15000", "address of the sidecar's admin interface")
	flags.IntVar(&drainDelay, "drain-delay-seconds", 0, "how long to go on accepting after SIGTERM")
	flags.StringVar(&o.drainReadiness, "drain-readiness", "", "when readiness fails after SIGTERM: \"first\", before the delay (default with a declarative file), "+
		"or \"last\", after it (default with a control plane)")
	flags.IntVar(&drainTimeout, "drain-timeout-seconds", 4, "how long requests under way may take after that")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.drainDelay, o.drainTimeout = time.Duration(drainDelay)*time.Second, time.Duration(drainTimeout)*time.Second
	if o.drainReadiness == "" {
		o.drainReadiness = readinessFirst
		if o.controlPlane != "" {
			o.drainReadiness = readinessLast
		}
	}
	o.pod = pod{name: env("POD_NAME", ""), namespace: env("POD_NAMESPACE", ""), uid: env("POD_UID", ""), ip: env("POD_IP", ""), node: env("NODE_NAME", "")}
	o.gateway.Namespace, o.gateway.Name, _ = strings.Cut(gateway, "/")
	var err error
	if o.listen, err = listener.Parse(listener.HTTP, listen); err != nil {
		return nil, err
	}
	if o.streamListen, err = listener.Parse(listener.Stream, streamListen); err != nil {
		return nil, err
	}
	if o.statusListen, err = parseStatusListen(statusListen); err != nil {
		return nil, err
	}
	if o.adminListen, err = parseAdminListen(adminListen); err != nil {
		return nil, err
	}
	if o.compatibility, err = entity.ParseLine(compatibility); err != nil {
		return nil, fmt.Errorf("--compatibility: %w", err)
	}
	if o.settings, err = engine.ReadSettings(lookup); err != nil {
		return nil, err
	}
	if o.streamSettings, err = streams.ReadSettings(lookup); err != nil {
		return nil, err
	}
	if o.dns, err = resolver.ReadSettings(lookup); err != nil {
		return nil, err
	}
	if o.vault, err = vault.ReadSettings(lookup, o.controlPlane != ""); err != nil {
		return nil, err
	}
	return o, o.check()
}

// When readiness fails in a drain. A load balancer that asks the Status API
// must hear of the end while connections are still accepted. A Kubernetes
// Service must not: a pod that is deleted has left its ready endpoints already,
// and while it has no others, kube-proxy goes on using those that end and are
// still ready.
const (
	readinessFirst = "first"
	readinessLast  = "last"
)

// kongLogLevel reads Kong's log_level.
func kongLogLevel(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error", "crit", "alert", "emerg":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// ownVariables are the KONG_* variables that flags stand for.
var ownVariables = []string{
	"KONG_DECLARATIVE_CONFIG", "KONG_PROXY_LISTEN", "KONG_STREAM_LISTEN", "KONG_STATUS_LISTEN", "KONG_ADMIN_LISTEN", "KONG_PROXY_ACCESS_LOG", "KONG_LOG_LEVEL", "KONG_DATABASE", "KONG_COMPATIBILITY",
}

// serviceLink matches the variables that Kubernetes sets for a Service that is
// called kong or kong-something.
var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT)|_PORT$|_PORT_[0-9]+_`)

// unreadVariables returns the KONG_* variables that nothing here reads, so
// that a setting which has no effect is not taken for one that has.
func unreadVariables(environ []string) (unread []string) {
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "KONG_") && !engine.ReadsSetting(name) && !streams.ReadsSetting(name) && !resolver.ReadsSetting(name) && !vault.ReadsSetting(name) && !slices.Contains(ownVariables, name) && !serviceLink.MatchString(name) {
			unread = append(unread, name)
		}
	}
	slices.Sort(unread)
	return unread
}

// check refuses combinations that cannot run.
func (o *options) check() error {
	switch {
	case o.version:
		return nil
	case o.declarativeConfig != "" && o.controlPlane != "":
		return errors.New("--declarative-config and --control-plane exclude each other")
	case o.declarativeConfig == "" && o.controlPlane == "":
		return errors.New("give --declarative-config FILE to run alone, or --control-plane TARGET")
	case o.controlPlane != "" && (o.gateway.Namespace == "" || o.gateway.Name == ""):
		return errors.New("--control-plane needs --gateway namespace/name")
	case o.controlPlane != "" && (o.tokenFile == "" || o.controlPlaneCADir == ""):
		return errors.New("--control-plane needs --token-file and --control-plane-ca-dir")
	case o.mesh != "none" && o.mesh != "sidecar":
		return fmt.Errorf("--mesh %q is neither sidecar nor none", o.mesh)
	case o.drainReadiness != readinessFirst && o.drainReadiness != readinessLast:
		return fmt.Errorf("--drain-readiness %q is neither first nor last", o.drainReadiness)
	case o.drainDelay < 0 || o.drainTimeout < 0:
		return errors.New("--drain-delay-seconds and --drain-timeout-seconds must not be negative")
	}
	return nil
}
