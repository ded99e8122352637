// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/pki"
)

// Options say what the component works with.
type Options struct {
	// Kubeconfig is for use inside the node.
	Kubeconfig string
	// State is the file where forwards are remembered and published.
	State string
	// Ports are the host ports that belong to the cluster.
	Ports layout.PortBlock
}

// door is the running component. Only its own loop touches forwarders and known.
type door struct {
	options      Options
	host, client *Namespace
	services     kubernetes.Interface
	lister       corelisters.ServiceLister
	known        []Forward
	forwarders   map[int]*Forwarder
}

// Run forwards and assigns until ctx ends. It expects the host's and the
// client's network namespaces as file descriptors, as node.Spec.Outside gives
// them, and runs in the node's namespace itself.
func Run(ctx context.Context, options Options) error {
	host, client := &Namespace{FD: node.HostNetFD}, &Namespace{FD: node.ClientNetFD}
	api, err := NewForwarder(host, loopback(options.Ports.APIServer()), nil, loopback(layout.APIServerPort))
	if err != nil {
		return fmt.Errorf("API server's forwarder: %w", err)
	}
	defer api.Close()
	go api.Serve()

	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	d := &door{options: options, host: host, client: client, services: clients, forwarders: map[int]*Forwarder{}}
	if d.known, err = ReadForwards(options.State); err != nil {
		return err
	}
	return d.watch(ctx)
}

// watch looks at all Services whenever one has changed. There are few, so each
// look is complete.
func (d *door) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(d.services, 0)
	informer := factory.Core().V1().Services()
	d.lister = informer.Lister()
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { poke() },
		UpdateFunc: func(any, any) { poke() },
		DeleteFunc: func(any) { poke() },
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.Informer().HasSynced) {
		return ctx.Err()
	}
	log.Print("ready")
	retry := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry.C:
		}
		if err := d.reconcile(ctx); err != nil {
			log.Printf("services: %v; trying again", err)
			retry.Reset(time.Second)
		}
	}
}

func (d *door) reconcile(ctx context.Context) error {
	all, err := d.lister.List(labels.Everything())
	if err != nil {
		return err
	}
	objects, services := loadBalancers(all)
	addresses := assign(layout.LoadBalancerPool, services)
	var errs []error
	for i, object := range objects {
		address, ok := addresses[services[i].key()]
		if !ok {
			errs = append(errs, fmt.Errorf("service %s: no address is left in %s", services[i].key(), layout.LoadBalancerPool))
			continue
		}
		if services[i].Address != address {
			errs = append(errs, d.publish(ctx, object, address))
		}
	}
	return errors.Join(append(errs, d.forward(services, addresses))...)
}

// loadBalancers picks the Services that are ours to serve, oldest first.
func loadBalancers(all []*corev1.Service) ([]*corev1.Service, []Service) {
	var objects []*corev1.Service
	for _, s := range all {
		if s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil && s.DeletionTimestamp == nil {
			objects = append(objects, s)
		}
	}
	sort.Slice(objects, func(i, j int) bool {
		a, b := objects[i], objects[j]
		if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
			return a.CreationTimestamp.Before(&b.CreationTimestamp)
		}
		return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
	})
	services := make([]Service, len(objects))
	for i, s := range objects {
		services[i] = Service{Namespace: s.Namespace, Name: s.Name, Wanted: address(s.Spec.LoadBalancerIP)}
		if ingress := s.Status.LoadBalancer.Ingress; len(ingress) == 1 {
			services[i].Address = address(ingress[0].IP)
		}
		for _, port := range s.Spec.Ports {
			services[i].Ports = append(services[i].Ports, Port{Name: port.Name, Port: port.Port, Protocol: string(port.Protocol)})
		}
	}
	return objects, services
}

// address parses an address; what is none gives the invalid one.
func address(text string) netip.Addr {
	parsed, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return parsed
}

func (d *door) publish(ctx context.Context, service *corev1.Service, address netip.Addr) error {
	changed := service.DeepCopy()
	mode := corev1.LoadBalancerIPModeVIP
	changed.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address.String(), IPMode: &mode}}
	_, err := d.services.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if err == nil {
		log.Printf("service %s/%s: address %s", service.Namespace, service.Name, address)
	}
	return err
}

// forward makes the forwarders what the plan says and publishes it.
func (d *door) forward(services []Service, addresses map[string]netip.Addr) error {
	first, last := d.options.Ports.LoadBalancer()
	d.known = plan(first, last, d.known, services)
	targets := map[int]string{}
	for _, f := range d.known {
		if to, ok := addresses[f.Namespace+"/"+f.Name]; ok && f.HostPort != 0 {
			targets[f.HostPort] = net.JoinHostPort(to.String(), strconv.Itoa(int(f.Port.Port)))
		}
	}
	var errs []error
	for port, forwarder := range d.forwarders {
		if _, wanted := targets[port]; !wanted {
			errs = append(errs, forwarder.Close())
			delete(d.forwarders, port)
		}
	}
	for port, target := range targets {
		if running := d.forwarders[port]; running != nil {
			running.SetTarget(target)
			continue
		}
		// Requests come from the client namespace: for the node they come from
		// outside, as a real client's would.
		forwarder, err := NewForwarder(d.host, loopback(port), d.client, target)
		if err != nil {
			errs = append(errs, fmt.Errorf("forwarder to %s: %w", target, err))
			continue
		}
		d.forwarders[port] = forwarder
		go forwarder.Serve()
	}
	return errors.Join(append(errs, writeForwards(d.options.State, d.known))...)
}

// ReadForwards returns the published forwards; none if there is no file yet.
func ReadForwards(path string) ([]Forward, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var forwards []Forward
	if err := json.Unmarshal(data, &forwards); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return forwards, nil
}

func writeForwards(path string, forwards []Forward) error {
	data, err := json.MarshalIndent(forwards, "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(path, data, 0o644)
}
