// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/access"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
)

// State of a whole cluster.
type State string

// The states of a cluster.
const (
	Running  State = "Running"
	Degraded State = "Degraded"
	Stopped  State = "Stopped"
)

// Status is what `status --json` prints; its field names are an interface.
type Status struct {
	Name          string            `json:"name"`
	State         State             `json:"state"`
	Problems      []string          `json:"problems"`
	StateDir      string            `json:"stateDir"`
	LogDir        string            `json:"logDir"`
	Kubeconfig    string            `json:"kubeconfig"`
	APIServer     string            `json:"apiServer"`
	Kubectl       string            `json:"kubectl"`
	Node          NodeStatus        `json:"node"`
	Client        ClientStatus      `json:"client"`
	DNS           DNSStatus         `json:"dns"`
	Mesh          MeshStatus        `json:"mesh"`
	LoadBalancers []LoadBalancer    `json:"loadBalancers"`
	Components    []ComponentStatus `json:"components"`
	Images        []string          `json:"images"`
	Versions      map[string]string `json:"versions"`
}

// NodeStatus tells about the one node.
type NodeStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Ready   bool   `json:"ready"`
}

// ClientStatus tells about the namespace outside the node.
type ClientStatus struct {
	Address string `json:"address"`
}

// DNSStatus tells about CoreDNS.
type DNSStatus struct {
	Address string `json:"address"`
	Ready   bool   `json:"ready"`
}

// MeshStatus tells about Istio.
type MeshStatus struct {
	Ready   bool   `json:"ready"`
	Version string `json:"version"`
	// Sidecars is false when there is no Envoy; Reason then says why.
	Sidecars              bool          `json:"sidecars"`
	Reason                string        `json:"reason"`
	OutboundTrafficPolicy addons.Policy `json:"outboundTrafficPolicy"`
}

// LoadBalancer is one Service with an address.
type LoadBalancer struct {
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Address   string     `json:"address"`
	Ports     []HostPort `json:"ports"`
}

// HostPort is one port of a Service and where the host reaches it.
type HostPort struct {
	access.Port
	// HostAddress is 127.0.0.1:PORT; empty for what is not TCP.
	HostAddress string `json:"hostAddress"`
}

// ComponentStatus tells about one process.
type ComponentStatus struct {
	Name  string     `json:"name"`
	State node.State `json:"state"`
	// PID on the host.
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
	LastExit string    `json:"lastExit,omitempty"`
	Log      string    `json:"log"`
}

// Status looks at everything. An error means that it could not look; a cluster
// in a bad state is not an error.
func (c *Cluster) Status(ctx context.Context) (*Status, error) {
	s := &Status{
		Name: c.Name, State: Running, Problems: []string{}, StateDir: c.StateDir, LogDir: c.LogDir(), Kubeconfig: c.Kubeconfig(),
		Node:          NodeStatus{Name: layout.NodeName, Address: layout.NodeAddress().String()},
		Client:        ClientStatus{Address: layout.ClientAddress().String()},
		DNS:           DNSStatus{Address: layout.DNSAddress.String()},
		Mesh:          MeshStatus{Version: layout.IstioVersion},
		LoadBalancers: []LoadBalancer{}, Components: []ComponentStatus{}, Images: []string{},
		Versions: map[string]string{
			"kubernetes": layout.KubernetesVersion, "etcd": layout.EtcdVersion, "containerd": layout.ContainerdVersion,
			"coredns": layout.CoreDNSVersion, "istio": layout.IstioVersion, "envoy": layout.EnvoyVersion,
		},
	}
	client, err := node.Connect(c.Record())
	if err != nil {
		return nil, err
	}
	if client == nil {
		s.State = Stopped
		s.problem("the cluster is not up: run `up`")
		return s, nil
	}
	settings, err := readSettings(c.Settings())
	if err != nil {
		return nil, err
	}
	s.APIServer = "https://" + loopback(settings.Ports.APIServer())
	s.Kubectl = settings.Tools["kubectl"]
	c.componentStatus(ctx, s, client)
	if s.Images, err = c.imageNames(ctx, client, settings); err != nil {
		s.problem("containerd does not answer: %v", err)
	}
	c.kubernetesStatus(ctx, s, settings)
	if len(s.Problems) > 0 {
		s.State = Degraded
	}
	return s, nil
}

func (s *Status) problem(format string, args ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (c *Cluster) componentStatus(ctx context.Context, s *Status, client *node.Client) {
	components, err := client.Components(ctx)
	if err != nil {
		s.problem("the node does not answer: %v: see %s", err, c.Log("node"))
		return
	}
	pids := client.HostPIDs()
	for _, component := range components {
		s.Components = append(s.Components, ComponentStatus{
			Name: component.Name, State: component.State, PID: pids[component.PID], Restarts: component.Restarts,
			Since: component.Since, LastExit: component.LastExit, Log: c.Log(component.Name),
		})
		if component.State != node.Running {
			s.problem("%s is %s (%s): see %s", component.Name, component.State, component.LastExit, c.Log(component.Name))
		}
	}
}

func (c *Cluster) kubernetesStatus(ctx context.Context, s *Status, settings Settings) {
	clients, err := c.kubernetesClient()
	if err == nil {
		err = apiReady(clients)(ctx)
	}
	if err != nil {
		s.problem("the API server does not answer: %v: see %s", err, c.Log("kube-apiserver"))
		return
	}
	s.Node.Ready = s.holds(nodeReady(clients, layout.NodeName, time.Time{})(ctx))
	s.DNS.Ready = s.holds(deploymentReady(clients, "kube-system", "coredns")(ctx))
	s.Mesh.OutboundTrafficPolicy = settings.Policy
	switch {
	case !settings.Istio:
		s.Mesh.Reason = "the cluster was brought up without Istio"
	default:
		s.Mesh.Ready = s.holds(deploymentReady(clients, addons.IstioNamespace, "istiod")(ctx))
		s.Mesh.Reason = settings.NoSidecars
		s.Mesh.Sidecars = s.Mesh.Ready && settings.NoSidecars == ""
	}
	forwards, err := access.ReadForwards(c.Forwards())
	if err != nil {
		s.problem("forwarders: %v", err)
	}
	s.LoadBalancers, err = loadBalancers(ctx, clients, forwards)
	s.holds(err)
}

func (s *Status) holds(err error) bool {
	if err != nil {
		s.problem("%v", err)
	}
	return err == nil
}

func loadBalancers(ctx context.Context, clients kubernetes.Interface, forwards []access.Forward) ([]LoadBalancer, error) {
	out := []LoadBalancer{}
	services, err := clients.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return out, err
	}
	for _, service := range services.Items {
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		lb := LoadBalancer{Namespace: service.Namespace, Name: service.Name, Ports: []HostPort{}}
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			lb.Address = ingress.IP
		}
		for _, forward := range forwards {
			if forward.Namespace != service.Namespace || forward.Name != service.Name || !hasPort(service.Spec.Ports, forward.Port) {
				continue
			}
			port := HostPort{Port: forward.Port}
			if forward.HostPort != 0 {
				port.HostAddress = loopback(forward.HostPort)
			}
			lb.Ports = append(lb.Ports, port)
		}
		out = append(out, lb)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Namespace+"/"+out[i].Name < out[j].Namespace+"/"+out[j].Name
	})
	return out, nil
}

// hasPort tells forwards of today from those that are only remembered.
func hasPort(ports []corev1.ServicePort, want access.Port) bool {
	for _, port := range ports {
		if port.Port == want.Port && string(port.Protocol) == want.Protocol {
			return true
		}
	}
	return false
}

// LogFiles lists the components that have a log, by name.
func (c *Cluster) LogFiles() ([]string, error) {
	entries, err := os.ReadDir(c.LogDir())
	if err != nil {
		return nil, ErrDown
	}
	var out []string
	for _, entry := range entries {
		out = append(out, c.LogDir()+"/"+entry.Name())
	}
	return out, nil
}
