// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// endpoint is an address that a plugin connects to.
type endpoint struct {
	host string
	port int
}

// endpoints returns the addresses in a plugin's configuration: URLs, and
// records with a host and a port. A plugin's log sink or Redis must be in the
// gateway's egress scope like any backend.
func endpoints(config map[string]any) []endpoint {
	var list []endpoint
	if host, ok := config["host"].(string); ok {
		if port, ok := config["port"].(int64); ok {
			list = append(list, endpoint{host, int(port)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		list = append(list, endpointsOf(config[key])...)
	}
	return list
}

func endpointsOf(value any) []endpoint {
	switch v := value.(type) {
	case map[string]any:
		return endpoints(v)
	case []any:
		var list []endpoint
		for _, e := range v {
			list = append(list, endpointsOf(e)...)
		}
		return list
	case string:
		if e, ok := urlEndpoint(v); ok {
			return []endpoint{e}
		}
	}
	return nil
}

// urlEndpoint returns what an http or https URL connects to.
func urlEndpoint(text string) (endpoint, bool) {
	if !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
		return endpoint{}, false
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return endpoint{}, false
	}
	port := 80
	if u.Scheme == "https" {
		port = 443
	}
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return endpoint{}, false
		}
	}
	return endpoint{u.Hostname(), port}, true
}

// isLocal reports whether a host can only be the caller's own pod or network:
// the proxies' dialer refuses such addresses, so that no plugin object reaches
// the sidecar's administration or the cloud's metadata.
func isLocal(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast()
}

// serviceOf returns the Service that a cluster DNS name stands for:
// "name.namespace", with or without ".svc" and the cluster's domain.
func serviceOf(host, domain string) (namespace, name string, ok bool) {
	host = strings.TrimSuffix(host, ".")
	host = strings.TrimSuffix(host, "."+domain)
	host = strings.TrimSuffix(host, ".svc")
	name, namespace, ok = strings.Cut(host, ".")
	return namespace, name, ok && net.ParseIP(host) == nil && name != "" && namespace != "" && !strings.Contains(namespace, ".")
}

// pluginBackends returns the Service ports that a plugin connects to.
func pluginBackends(config map[string]any, refs fragment.Refs) []fragment.Backend {
	domain := refs.Settings().ClusterDomain
	if domain == "" {
		domain = "cluster.local"
	}
	var list []fragment.Backend
	for _, e := range endpoints(config) {
		namespace, name, ok := serviceOf(e.host, domain)
		if !ok {
			continue
		}
		svc := refs.Service(namespace, name)
		if svc == nil {
			continue
		}
		if b, ok := pluginBackend(svc, e.port); ok {
			list = append(list, b)
		}
	}
	return list
}

func pluginBackend(svc *corev1.Service, port int) (fragment.Backend, bool) {
	i := slices.IndexFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == port })
	if i < 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return fragment.Backend{}, false
	}
	p := svc.Spec.Ports[i]
	b := fragment.Backend{Namespace: svc.Namespace, Service: svc.Name, Port: p.Port, PortName: p.Name}
	if p.AppProtocol != nil {
		b.AppProtocol = *p.AppProtocol
	}
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		b.Headless = true
		return b, true
	}
	b.ClusterIP = svc.Spec.ClusterIP
	b.Addresses = []string{net.JoinHostPort(b.ClusterIP, strconv.Itoa(port))}
	return b, true
}
