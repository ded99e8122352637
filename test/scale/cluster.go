// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/controllers/routes"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
	"github.com/kong/kong-istio-gateway/test/apiserver"
	"github.com/kong/kong-istio-gateway/test/scale/population"
)

const (
	managerNamespace = "kong-istio-system"
	// streamHost is the name in the certificate of the manager's stream.
	streamHost = "kong-istio-gateway-stream." + managerNamespace + ".svc"
	// startTimeout bounds the start of a program on a busy machine.
	startTimeout = 3 * time.Minute
	// creators is how many objects are created at once.
	creators = 8
)

var gatewayKey = types.NamespacedName{Namespace: "kong-istio", Name: "edge"}

// cluster is a real API server without any controller but ours.
type cluster struct {
	environment *envtest.Environment
	config      *rest.Config
	kube        client.Client
	dir         string // for files
}

func startCluster(dir string) (*cluster, error) {
	assets := os.Getenv(apiserver.AssetsVariable)
	if assets == "" {
		return nil, fmt.Errorf("%s is not set: \"make bench-scale\" sets it", apiserver.AssetsVariable)
	}
	c := &cluster{dir: dir, environment: &envtest.Environment{
		BinaryAssetsDirectory: assets, ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{
			filepath.Join(apiserver.Root(), "config", "crd", "bases"), filepath.Join(apiserver.Root(), "config", "kong-crds"),
		},
		ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: startTimeout,
	}}
	// The default has room for 254 Services.
	c.environment.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.96.0.0/16")
	var err error
	if c.config, err = c.environment.Start(); err != nil {
		return nil, fmt.Errorf("start kube-apiserver and etcd: %w", err)
	}
	c.config.QPS, c.config.Burst = 2000, 4000
	scheme := runtime.NewScheme()
	own, err := routes.Scheme()
	if err == nil {
		scheme = own
		err = errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
	}
	if err == nil {
		c.kube, err = client.New(c.config, client.Options{Scheme: scheme})
	}
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) stop() error { return c.environment.Stop() }

// kubeconfig writes a file for the manager.
func (c *cluster) kubeconfig() (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.config.Host, CertificateAuthorityData: c.config.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.config.CertData, ClientKeyData: c.config.KeyData}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(c.dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// populate creates the namespaces and everything in them.
func (c *cluster) populate(ctx context.Context, size population.Size) error {
	for _, name := range []string{managerNamespace, gatewayKey.Namespace} {
		if err := c.namespace(ctx, name); err != nil {
			return err
		}
	}
	for n := range size.Namespaces() {
		if err := c.namespace(ctx, population.Namespace(n)); err != nil {
			return err
		}
	}
	secrets, err := size.Secrets()
	if err != nil {
		return err
	}
	list := size.Objects()
	for _, s := range secrets {
		list = append(list, s)
	}
	return c.create(ctx, list)
}

func (c *cluster) namespace(ctx context.Context, name string) error {
	err := c.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Namespace %s: %w", name, err)
	}
	return nil
}

// create creates objects, several at once.
func (c *cluster) create(ctx context.Context, list []client.Object) error {
	work := make(chan client.Object)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range creators {
		wg.Go(func() {
			for o := range work {
				if err := c.kube.Create(ctx, o); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("create %T %s: %w", o, client.ObjectKeyFromObject(o), err))
					mu.Unlock()
				}
			}
		})
	}
	for _, o := range list {
		work <- o
	}
	close(work)
	wg.Wait()
	return errors.Join(errs...)
}

// gateway creates the KongIstioGateway of the population's class.
func (c *cluster) gateway(ctx context.Context) error {
	gw := &v1alpha1.KongIstioGateway{}
	gw.Namespace, gw.Name = gatewayKey.Namespace, gatewayKey.Name
	gw.Spec.IngressClassName = population.Class
	gw.Spec.Mesh.Mode = v1alpha1.MeshNone
	if err := c.kube.Create(ctx, gw); err != nil {
		return fmt.Errorf("create KongIstioGateway: %w", err)
	}
	return nil
}

// identity is what a pod of the gateway has.
type identity struct{ name, uid, token, caDir string }

// pod makes what a cluster's controllers and the kubelet would: the ReplicaSet
// and a pod of the gateway's Deployment, its token and its CA bundle.
func (c *cluster) pod(ctx context.Context) (id identity, err error) {
	deployment := &appsv1.Deployment{}
	bundle := &corev1.ConfigMap{}
	err = eventually(ctx, startTimeout, func() error {
		if err := c.kube.Get(ctx, types.NamespacedName{Namespace: gatewayKey.Namespace, Name: gatewayKey.Name + "-blue"}, deployment); err != nil {
			return err
		}
		return c.kube.Get(ctx, types.NamespacedName{Namespace: gatewayKey.Namespace, Name: gatewayKey.Name + "-ca-bundle"}, bundle)
	})
	if err != nil {
		return id, fmt.Errorf("objects of the gateway: %w", err)
	}
	rs := &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Selector: deployment.Spec.Selector, Template: deployment.Spec.Template}}
	rs.Name, rs.Namespace = deployment.Name+"-1", gatewayKey.Namespace
	rs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	if err := c.kube.Create(ctx, rs); err != nil {
		return id, fmt.Errorf("create ReplicaSet: %w", err)
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		ServiceAccountName: gatewayKey.Name, Containers: []corev1.Container{{Name: "proxy", Image: "proxy:scale"}},
	}}
	pod.Name, pod.Namespace, pod.Labels = rs.Name+"-1", gatewayKey.Namespace, deployment.Spec.Template.Labels
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	if err := c.kube.Create(ctx, pod); err != nil {
		return id, fmt.Errorf("create Pod: %w", err)
	}
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      []string{render.TokenAudience},
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: gatewayKey.Namespace, Name: gatewayKey.Name}}
	if err := c.kube.SubResource("token").Create(ctx, account, token); err != nil {
		return id, fmt.Errorf("token of the proxy: %w", err)
	}
	id = identity{name: pod.Name, uid: string(pod.UID), token: filepath.Join(c.dir, "token"), caDir: filepath.Join(c.dir, "ca")}
	err = errors.Join(
		os.WriteFile(id.token, []byte(token.Status.Token), 0o600),
		os.MkdirAll(id.caDir, 0o700),
		os.WriteFile(filepath.Join(id.caDir, "ca.crt"), []byte(bundle.Data["ca.crt"]), 0o600),
	)
	return id, err
}

// eventually calls check until it succeeds.
func eventually(ctx context.Context, limit time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("in vain for %v: %w", limit, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
