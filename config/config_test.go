// SPDX-License-Identifier: Apache-2.0

// Package config_test applies what this folder holds to a real API server.
package config_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/test/apiserver"
)

const (
	managerUser  = "system:serviceaccount:kong-istio-system:kong-istio-gateway-manager"
	managerGroup = "system:serviceaccounts"
	ownNamespace = "kong-istio-system"
)

// running is an API server on which config/default and config/kong-crds are applied.
type running struct {
	server  *apiserver.Server
	client  client.Client
	applied bool
}

var start = sync.OnceValues(func() (*running, error) {
	server, err := apiserver.Start("config/crd/bases", "config/kong-crds")
	if err != nil {
		return nil, err
	}
	c, err := client.New(server.Config, client.Options{})
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &running{server: server, client: c}, nil
})

var started bool

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if r, err := start(); err == nil {
			if err := r.server.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// cluster returns the server with config/default applied, as `kubectl apply --server-side -k` does.
func cluster(t *testing.T) *running {
	t.Helper()
	started = true
	r, err := start()
	if err != nil {
		t.Fatal(err)
	}
	if r.applied {
		return r
	}
	for _, overlay := range []string{"config/default", "config/kong-crds"} {
		for _, object := range build(t, overlay) {
			r.apply(t, object)
		}
	}
	r.applied = true
	return r
}

func (r *running) apply(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	configuration := client.ApplyConfigurationFromUnstructured(object)
	err := r.client.Apply(t.Context(), configuration, client.FieldOwner("config-test"), client.ForceOwnership)
	if err != nil {
		t.Fatalf("apply %s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

// build is what kustomize makes of an overlay.
func build(t *testing.T, overlay string) []*unstructured.Unstructured {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(apiserver.Root(), "hack/tools/kustomize"),
		"tool", "kustomize", "build", filepath.Join(apiserver.Root(), overlay))
	var failure bytes.Buffer
	command.Stderr = &failure
	output, err := command.Output()
	if err != nil {
		t.Fatalf("kustomize build %s: %v\n%s", overlay, err, failure.String())
	}
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(output), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("kustomize build %s: %v", overlay, err)
		}
		objects = append(objects, object)
	}
}

// Every overlay builds, and every object of ours names itself and where it belongs.
func TestOverlays(t *testing.T) {
	for _, overlay := range []string{"default", "kong-crds", "network-policy", "prometheus", "samples", "scorecard"} {
		objects := build(t, "config/"+overlay)
		if len(objects) == 0 {
			t.Errorf("config/%s is empty", overlay)
		}
		for _, object := range objects {
			own := strings.HasPrefix(object.GetName(), "kong-istio-gateway")
			if own && object.GetLabels()["app.kubernetes.io/name"] != "kong-istio-gateway" {
				t.Errorf("config/%s: %s %s lacks label app.kubernetes.io/name", overlay, object.GetKind(), object.GetName())
			}
			if object.GetNamespace() != "" && object.GetNamespace() != ownNamespace {
				t.Errorf("config/%s: %s %s is in namespace %s", overlay, object.GetKind(), object.GetName(), object.GetNamespace())
			}
		}
	}
}

// The images of manager and proxy are set in one place, the proxy's through an environment variable.
func TestImages(t *testing.T) {
	for _, object := range build(t, "config/default") {
		if object.GetKind() != "Deployment" {
			continue
		}
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range []string{`"kong/kong-istio-gateway-manager:dev"`, `"kong/kong-istio-gateway-proxy:dev"`} {
			if !bytes.Contains(text, []byte(image)) {
				t.Errorf("the Deployment does not name image %s", image)
			}
		}
		return
	}
	t.Error("config/default holds no Deployment")
}

func TestSampleIsAccepted(t *testing.T) {
	r := cluster(t)
	for _, object := range build(t, "config/samples") {
		object.SetNamespace("default")
		options := []client.CreateOption{client.DryRunAll, client.FieldValidation("Strict")}
		if err := r.client.Create(t.Context(), object, options...); err != nil {
			t.Error(err)
		}
	}
}

// What the manager may do, and what it may not, as the API server's authoriser says it.
func TestManagerRights(t *testing.T) {
	r := cluster(t)
	type right struct{ group, resource, subresource, verbs, namespace, name string }
	const apply = "get list watch create patch delete"
	allowed := []right{
		{"gateway.konghq.com", "kongistiogateways", "", "get list watch patch", "shop", ""},
		{"gateway.konghq.com", "kongistiogateways", "status", "patch update", "shop", ""},
		{"gateway.konghq.com", "kongistiogateways", "finalizers", "update", "shop", ""},
		{"apps", "deployments", "", apply, "shop", ""},
		{"apps", "controllerrevisions", "", apply, "shop", ""},
		{"", "services", "", apply, "shop", ""},
		{"", "serviceaccounts", "", apply, "shop", ""},
		{"", "configmaps", "", apply, "shop", ""},
		{"", "secrets", "", apply, "shop", ""},
		{"policy", "poddisruptionbudgets", "", apply, "shop", ""},
		{"networking.k8s.io", "ingressclasses", "", apply, "", ""},
		{"security.istio.io", "peerauthentications", "", apply, "shop", ""},
		{"networking.istio.io", "destinationrules", "", apply, "shop", ""},
		{"networking.istio.io", "sidecars", "", apply, "shop", ""},
		{"", "namespaces", "", "get list watch patch", "", ""},
		{"", "pods", "", "get list watch", "shop", ""},
		{"apps", "replicasets", "", "get list watch", "shop", ""},
		{"networking.k8s.io", "ingresses", "", "get list watch", "shop", ""},
		{"networking.k8s.io", "ingresses", "status", "patch", "shop", ""},
		{"discovery.k8s.io", "endpointslices", "", "get list watch", "shop", ""},
		{"configuration.konghq.com", "kongplugins", "", "get list watch", "shop", ""},
		{"configuration.konghq.com", "kongplugins", "status", "patch", "shop", ""},
		{"configuration.konghq.com", "kongclusterplugins", "", "get list watch", "", ""},
		{"configuration.konghq.com", "kongconsumers", "", "get list watch", "shop", ""},
		{"apiextensions.k8s.io", "customresourcedefinitions", "", "get list watch", "", ""},
		{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "get list watch", "", ""},
		{"authentication.k8s.io", "tokenreviews", "", "create", "", ""},
		{"authorization.k8s.io", "subjectaccessreviews", "", "create", "", ""},
		{"events.k8s.io", "events", "", "create patch", "shop", ""},
		{"", "events", "", "create patch", "shop", ""},
		{"coordination.k8s.io", "leases", "", "get create update", ownNamespace, ""},
		{"", "secrets", "", "update", ownNamespace, "kong-istio-gateway-stream-roots"},
		{"", "secrets", "", "update", ownNamespace, "kong-istio-gateway-webhook-roots"},
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "get list watch patch", "", "kong-istio-gateway"},
	}
	refused := []right{
		{"gateway.konghq.com", "kongistiogateways", "", "create update delete", "shop", ""},
		{"networking.k8s.io", "ingressclasses", "", "claim", "", ""},
		{"networking.k8s.io", "ingresses", "", "create update patch delete", "shop", ""},
		{"configuration.konghq.com", "kongplugins", "", "create update patch delete", "shop", ""},
		{"", "pods", "", "create update patch delete", "shop", ""},
		{"", "pods", "exec", "create get", "shop", ""},
		{"", "serviceaccounts", "token", "create", "shop", ""},
		{"", "secrets", "", "update deletecollection", "shop", ""},
		{"", "secrets", "", "update", "shop", "kong-istio-gateway-stream-roots"},
		{"", "secrets", "", "update", ownNamespace, "other"},
		{"", "namespaces", "", "create update delete", "", ""},
		{"", "nodes", "", "get list", "", ""},
		{"coordination.k8s.io", "leases", "", "get create update", "shop", ""},
		{"rbac.authorization.k8s.io", "clusterroles", "", "get create escalate bind", "", ""},
		{"apiextensions.k8s.io", "customresourcedefinitions", "", "create patch", "", ""},
		{"admissionregistration.k8s.io", "validatingadmissionpolicies", "", "patch delete", "", ""},
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "list create update patch delete", "", ""},
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "create update delete", "", "kong-istio-gateway"},
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "get patch", "", "other"},
		{"networking.istio.io", "virtualservices", "", "patch create delete", "shop", ""},
		{"security.istio.io", "authorizationpolicies", "", "patch create delete", "shop", ""},
	}
	check := func(rights []right, want bool) {
		for _, right := range rights {
			for verb := range strings.FieldsSeq(right.verbs) {
				review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
					User: managerUser, Groups: []string{managerGroup},
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Group: right.group, Resource: right.resource, Subresource: right.subresource, Verb: verb, Namespace: right.namespace, Name: right.name,
					},
				}}
				if err := r.client.Create(t.Context(), review); err != nil {
					t.Fatal(err)
				}
				if review.Status.Allowed != want {
					t.Errorf("manager, %s %s.%s/%s in %q: allowed %v, want %v",
						verb, right.resource, right.group, right.subresource, right.namespace, review.Status.Allowed, want)
				}
			}
		}
	}
	// The authoriser learns of a role a moment after it was written: wait for the last one.
	apiserver.Eventually(t, "the manager's roles take effect", func() error {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: managerUser,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: "coordination.k8s.io", Resource: "leases", Verb: "get", Namespace: ownNamespace,
			},
		}}
		if err := r.client.Create(t.Context(), review); err != nil {
			return err
		}
		if !review.Status.Allowed {
			return errors.New(review.Status.Reason)
		}
		return nil
	})
	check(allowed, true)
	check(refused, false)
}

func TestRolesHoldNoWildcard(t *testing.T) {
	for _, object := range build(t, "config/rbac") {
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(object.GetKind(), "Role") && bytes.Contains(text, []byte(`"*"`)) {
			t.Errorf("%s %s holds a wildcard", object.GetKind(), object.GetName())
		}
		for key := range object.GetLabels() {
			if strings.HasPrefix(key, rbacv1.GroupName+"/aggregate-to-") {
				t.Errorf("%s %s is aggregated: %s", object.GetKind(), object.GetName(), key)
			}
		}
	}
}

func gateway(name, class string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.konghq.com/v1alpha1", "kind": "KongIstioGateway", "spec": map[string]any{},
	}}
	object.SetNamespace("default")
	object.SetName(name)
	if class != "" {
		object.Object["spec"] = map[string]any{"ingressClassName": class}
	}
	return object
}

func TestClassClaimPolicy(t *testing.T) {
	r := cluster(t)
	const group = "gateway-people"
	r.grant(t, "kong-istio-gateway-kongistiogateway-admin", rbacv1.GroupKind, group)
	r.grant(t, "kong-istio-gateway-class-claimer-kong", rbacv1.UserKind, "claimer")
	claimer, other := r.as(t, "claimer", group), r.as(t, "other", group)

	refused := func(err error, user, class string) {
		t.Helper()
		want := fmt.Sprintf(`spec.ingressClassName: %s may not claim ingress class %s; ask a cluster administrator for the verb "claim" on ingressclasses.networking.k8s.io/%s`, user, class, class)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant Forbidden: %s", err, want)
		}
	}
	admitted := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The policy and the roles take effect a moment after they were written.
	apiserver.Eventually(t, "the policy takes effect", func() error {
		err := other.Create(t.Context(), gateway("probe", "internal"), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "may not claim") {
			return errors.Join(errors.New("the policy does not refuse yet"), err)
		}
		return claimer.Create(t.Context(), gateway("probe", "kong"), client.DryRunAll)
	})

	refused(other.Create(t.Context(), gateway("edge", "kong")), "other", "kong")
	refused(other.Create(t.Context(), gateway("edge", "")), "other", "kong")
	refused(claimer.Create(t.Context(), gateway("edge", "internal")), "claimer", "internal")
	admitted("create with the right", claimer.Create(t.Context(), gateway("edge", "")))
	t.Cleanup(func() {
		if err := r.client.Delete(context.Background(), gateway("edge", "")); err != nil {
			t.Error(err)
		}
	})

	admitted("change of something else by another", other.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"deployment":{"replicas":3}}}`)))
	admitted("the same class named by another", other.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"ingressClassName":"kong"}}`)))
	admitted("class left to its default by another", other.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"ingressClassName":null}}`)))
	refused(other.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"ingressClassName":"internal"}}`)), "other", "internal")
	refused(claimer.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"ingressClassName":"internal"}}`)), "claimer", "internal")
	admitted("change by an administrator", r.client.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"ingressClassName":"internal"}}`)))
	refused(other.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"ingressClassName":null}}`)), "other", "kong")
	admitted("back by one with the right", claimer.Patch(t.Context(), gateway("edge", ""), mergePatch(`{"spec":{"ingressClassName":null}}`)))
}

func mergePatch(text string) client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(text))
}

func (r *running) grant(t *testing.T, role, kind, subject string) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role + "-" + subject},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: kind, Name: subject}},
	}
	if err := r.client.Create(t.Context(), binding); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// as returns a client of a user without any right but those granted.
func (r *running) as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	config, err := r.server.User(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Mapper: r.client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
