// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/kong/kong-istio-gateway/test/bench/internal/install"
)

// The names of the proxies.
const (
	Ours    = "ours"
	Nginx   = "nginx"
	HAProxy = "HAProxy"
	Envoy   = "Envoy"
	Traefik = "Traefik"
	Caddy   = "Caddy"
)

// Peer is a proxy that can be measured.
type Peer struct {
	Name string
	// Version is what the program or its module says.
	Version string
	// Headers are the names that the proxy uses.
	Headers Headers
	// Program is the path of the binary.
	Program string
	// files are the templates of the configuration, by their name in the
	// proxy's directory.
	files map[string]string
	// arguments returns the command line after the program, and what is set in
	// the environment.
	arguments func(p *Place) (args, env []string)
	// absent says why the proxy cannot serve a site; "" if it can.
	absent func(s *Site) string
	// logged says that the access log is the program's standard output.
	logged bool
}

// Headers are the names of what differs between proxies.
type Headers struct {
	// RequestID is added to request and answer.
	RequestID string
	// UpstreamLatency and ProxyLatency are added to the answer.
	UpstreamLatency, ProxyLatency string
	// Fixed says that the proxy cannot make a new id for each request and adds
	// the same one.
	Fixed bool
}

// Absent says why the proxy cannot serve a site; it is "" if it can.
func (p *Peer) Absent(s *Site) string {
	if s.Routes != nil && p.Name != Ours {
		return "the gateway's own router"
	}
	if p.absent == nil {
		return ""
	}
	return p.absent(s)
}

//go:embed templates
var templates embed.FS

var common = Headers{RequestID: "x-request-id", UpstreamLatency: "x-upstream-latency", ProxyLatency: "x-proxy-latency"}

// Gateway is our own proxy, whose program lies at path.
func Gateway(ctx context.Context, path string) (*Peer, error) {
	version, err := output(ctx, path, "-version")
	return &Peer{
		Name: Ours, Version: version, Program: path, logged: true,
		Headers: Headers{RequestID: "x-kong-request-id", UpstreamLatency: "x-kong-upstream-latency", ProxyLatency: "x-kong-proxy-latency"},
		files:   map[string]string{gatewayConfig: "kong.yml"},
		arguments: func(p *Place) ([]string, []string) {
			args := append(p.source(), "-proxy-listen", fmt.Sprintf("127.0.0.1:%d, 127.0.0.1:%d ssl http2, 127.0.0.1:%d http2", p.Plain, p.TLS, p.H2C),
				"-status-listen", fmt.Sprintf("127.0.0.1:%d", p.Status))
			if p.AccessLog {
				args = append(args, "-access-log")
			}
			return args, []string{"GOMAXPROCS=1", "KONG_NGINX_HTTP_KEEPALIVE_REQUESTS=1000000000", "KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS=1000000000"}
		},
	}, err
}

// gatewayConfig is the gateway's declarative file in its directory.
const gatewayConfig = "kong.yml"

// source is where the gateway takes its configuration from: the file, or the
// stream with the flags that the pods of a fleet have.
func (p *Place) source() []string {
	if p.Feeder == nil {
		return []string{"-declarative-config", filepath.Join(p.Dir, gatewayConfig)}
	}
	return []string{"-gateway", p.Feeder.Gateway, "-control-plane", p.Feeder.Address, "-control-plane-server-name", p.Feeder.ServerName,
		"-control-plane-ca-dir", p.Feeder.CADir, "-token-file", p.Feeder.TokenFile, "-data-dir", p.data()}
}

// Install brings the peers of the given names, all if there are none. tools is
// the folder of the tools modules.
func Install(ctx context.Context, log io.Writer, tools string, names []string) ([]*Peer, error) {
	var out []*Peer
	for _, p := range []struct {
		name  string
		bring func(context.Context, io.Writer, string) (*Peer, error)
	}{{Nginx, nginx}, {HAProxy, haproxy}, {Envoy, envoy}, {Traefik, traefik}, {Caddy, caddy}} {
		if len(names) > 0 && !contains(names, p.name) {
			continue
		}
		peer, err := p.bring(ctx, log, tools)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		out = append(out, peer)
	}
	return out, nil
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func nginx(ctx context.Context, log io.Writer, _ string) (*Peer, error) {
	path, err := install.Debian(ctx, log, "nginx", "nginx-light")
	if err != nil {
		return nil, err
	}
	version, err := output(ctx, path, "-v")
	_, version, _ = strings.Cut(version, "/")
	return &Peer{
		Name: Nginx, Version: version, Program: path, Headers: common,
		files: map[string]string{"nginx.conf": "nginx.conf"},
		arguments: func(p *Place) ([]string, []string) {
			return []string{"-p", p.Dir, "-c", filepath.Join(p.Dir, "nginx.conf")}, nil
		},
		absent: func(s *Site) string {
			if s.Prometheus {
				return "counts by route and status need a module that Debian does not have"
			}
			return ""
		},
	}, err
}

func haproxy(ctx context.Context, log io.Writer, _ string) (*Peer, error) {
	path, err := install.Debian(ctx, log, "haproxy", "haproxy")
	if err != nil {
		return nil, err
	}
	version, err := output(ctx, path, "-v")
	return &Peer{
		Name: HAProxy, Version: word(version, 2), Program: path, Headers: common, logged: true,
		files: map[string]string{"haproxy.cfg": "haproxy.cfg", "consumers.map": "consumers.map"},
		arguments: func(p *Place) ([]string, []string) {
			return []string{"-db", "-f", filepath.Join(p.Dir, "haproxy.cfg")}, nil
		},
	}, err
}

func envoy(ctx context.Context, log io.Writer, _ string) (*Peer, error) {
	path, err := install.Envoy(ctx, log)
	if err != nil {
		return nil, err
	}
	headers := common
	headers.UpstreamLatency = "x-envoy-upstream-service-time"
	return &Peer{
		Name: Envoy, Version: install.EnvoyVersion, Program: path, Headers: headers,
		files: map[string]string{"envoy.yaml": "envoy.yaml"},
		arguments: func(p *Place) ([]string, []string) {
			return []string{"-c", filepath.Join(p.Dir, "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart", "-l", "error"}, nil
		},
	}, nil
}

func traefik(ctx context.Context, log io.Writer, tools string) (*Peer, error) {
	path, err := install.GoModule(ctx, log, filepath.Join(tools, "traefik"), "github.com/traefik/traefik/v3/cmd/traefik")
	if err != nil {
		return nil, err
	}
	version, err := moduleVersion(ctx, filepath.Join(tools, "traefik"), "github.com/traefik/traefik/v3")
	headers := common
	headers.Fixed = true
	return &Peer{
		Name: Traefik, Version: version + " (fastProxy)", Program: path, Headers: headers,
		// A file called traefik.yaml would be read as the static configuration.
		files: map[string]string{"routes.yaml": "traefik.yaml"},
		arguments: func(p *Place) ([]string, []string) {
			args := []string{"--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=ERROR", "--experimental.fastProxy",
				"--providers.file.filename=" + filepath.Join(p.Dir, "routes.yaml"), "--providers.file.watch=false"}
			for name, port := range map[string]int{"plain": p.Plain, "tls": p.TLS, "h2c": p.H2C} {
				args = append(args, fmt.Sprintf("--entryPoints.%s.address=127.0.0.1:%d", name, port))
			}
			if p.AccessLog {
				args = append(args, "--accessLog", "--accessLog.bufferingSize=100", "--accessLog.filePath="+filepath.Join(p.Dir, "access.log"))
			}
			if p.Prometheus {
				args = append(args, "--metrics.prometheus", "--metrics.prometheus.addRoutersLabels")
			}
			return args, []string{"GOMAXPROCS=1"}
		},
		absent: func(s *Site) string {
			switch {
			case s.KeyAuth:
				return "has no key authentication"
			case s.Correlation:
				return "cannot make an id for a request"
			}
			return ""
		},
	}, err
}

func caddy(ctx context.Context, log io.Writer, tools string) (*Peer, error) {
	path, err := install.GoModule(ctx, log, filepath.Join(tools, "caddy"), "github.com/caddyserver/caddy/v2/cmd/caddy")
	if err != nil {
		return nil, err
	}
	version, err := moduleVersion(ctx, filepath.Join(tools, "caddy"), "github.com/caddyserver/caddy/v2")
	return &Peer{
		Name: Caddy, Version: version, Program: path, Headers: common,
		files: map[string]string{"Caddyfile": "Caddyfile"},
		arguments: func(p *Place) ([]string, []string) {
			return []string{"run", "--config", filepath.Join(p.Dir, "Caddyfile"), "--adapter", "caddyfile"}, []string{"GOMAXPROCS=1", "HOME=" + p.Dir}
		},
		absent: func(s *Site) string {
			if s.KeyAuth {
				return "has no rate limiting of its own"
			}
			return ""
		},
	}, err
}

// output runs a program and returns the first line of what it says.
func output(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput() // #nosec G204 -- paths of our own
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, line)
	}
	return line, nil
}

func word(s string, n int) string {
	if f := strings.Fields(s); n < len(f) {
		return f[n]
	}
	return s
}

func moduleVersion(ctx context.Context, dir, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module) // #nosec G204 -- constants
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// render writes the configuration's files.
func (p *Peer) render(place *Place) error {
	for file, name := range p.files {
		if err := renderFile(place, filepath.Join(place.Dir, file), name); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

func renderFile(place *Place, path, name string) (err error) {
	t, err := template.ParseFS(templates, "templates/"+name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(t.Execute(f, place), f.Close())
}

// BackendHost is the address of the backend without its port.
func (p *Place) BackendHost() string { return netip.MustParseAddrPort(p.Backend).Addr().String() }

// BackendPort is the port of the backend.
func (p *Place) BackendPort() string {
	return strconv.Itoa(int(netip.MustParseAddrPort(p.Backend).Port()))
}

// Prefix is a network for templates.
type Prefix struct {
	Address string
	Bits    int
}

// Prefixes are the networks of Networks.
func (p *Place) Prefixes() []Prefix {
	var out []Prefix
	for _, n := range p.Networks() {
		prefix := netip.MustParsePrefix(n)
		out = append(out, Prefix{prefix.Addr().String(), prefix.Bits()})
	}
	return out
}

// PEM returns a file's content, indented for a block of YAML.
func (p *Place) PEM(path string) (string, error) {
	data, err := os.ReadFile(path)
	return strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", "\n    "), err
}
