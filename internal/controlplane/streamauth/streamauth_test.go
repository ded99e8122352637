// SPDX-License-Identifier: Apache-2.0

package streamauth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
)

// api answers reviews and reads from memory.
type api struct {
	client.Reader
	status  authenticationv1.TokenReviewStatus
	fail    error
	reviews int
	objects map[string]metav1.ObjectMeta // "Kind namespace/name"
}

func (a *api) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	a.reviews++
	review := obj.(*authenticationv1.TokenReview)
	if review.Spec.Token != "token" || len(review.Spec.Audiences) != 1 {
		return errors.New("unexpected review")
	}
	review.Status = a.status
	return a.fail
}

func (a *api) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	kind := obj.GetObjectKind().GroupVersionKind().Kind
	meta, ok := a.objects[kind+" "+key.String()]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind}, key.Name)
	}
	obj.(*metav1.PartialObjectMetadata).ObjectMeta = meta
	return nil
}

func meta(uid, ownerVersion, ownerKind, owner, ownerUID string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{UID: types.UID(uid)}
	if owner != "" {
		yes := true
		m.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: ownerVersion, Kind: ownerKind, Name: owner, UID: types.UID(ownerUID), Controller: &yes,
		}}
	}
	return m
}

func good() *api {
	return &api{
		status: authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{"kong-istio-gateway"},
			User: authenticationv1.UserInfo{
				Username: "system:serviceaccount:kong-istio:edge",
				Extra: map[string]authenticationv1.ExtraValue{
					extraPodName: {"edge-blue-x"}, extraPodUID: {"pod-uid"},
				},
			},
		},
		objects: map[string]metav1.ObjectMeta{
			"Pod kong-istio/edge-blue-x":        meta("pod-uid", "apps/v1", "ReplicaSet", "edge-blue-1", "rs-uid"),
			"ReplicaSet kong-istio/edge-blue-1": meta("rs-uid", "apps/v1", "Deployment", "edge-blue", "deploy-uid"),
			"Deployment kong-istio/edge-blue":   meta("deploy-uid", "gateway.konghq.com/v1alpha1", "KongIstioGateway", "edge", "gw-uid"),
			"KongIstioGateway kong-istio/edge":  meta("gw-uid", "", "", "", ""),
		},
	}
}

func authenticator(a *api) *Authenticator {
	return New(Config{Creator: a, Reader: a, Audience: "kong-istio-gateway"})
}

func TestAuthenticate(t *testing.T) {
	id, err := authenticator(good()).Authenticate(t.Context(), "token")
	want := server.Identity{
		Gateway: configsync.Gateway{Namespace: "kong-istio", Name: "edge"}, PodName: "edge-blue-x", PodUID: "pod-uid",
	}
	if err != nil || id != want {
		t.Fatalf("got %+v, %v; want %+v", id, err, want)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*api)
		want   string
	}{
		{"invalid token", func(a *api) { a.status.Authenticated = false }, "not valid for audience"},
		{"other audience", func(a *api) { a.status.Audiences = []string{"https://kubernetes.default.svc"} }, "not for audience"},
		{"no audiences", func(a *api) { a.status.Audiences = nil }, "not for audience"},
		{"a user", func(a *api) { a.status.User.Username = "alice:bob" }, "is not a ServiceAccount"},
		{"token without a pod", func(a *api) { a.status.User.Extra = nil }, "not bound to a pod"},
		{"pod gone", func(a *api) { delete(a.objects, "Pod kong-istio/edge-blue-x") }, "Pod kong-istio/edge-blue-x with uid pod-uid does not exist"},
		{"pod replaced", func(a *api) { a.objects["Pod kong-istio/edge-blue-x"] = meta("other", "", "", "", "") }, "does not exist"},
		{"naked pod", func(a *api) { a.objects["Pod kong-istio/edge-blue-x"] = meta("pod-uid", "", "", "", "") }, "is not controlled by a ReplicaSet"},
		{"not a controller", func(a *api) {
			m := a.objects["Pod kong-istio/edge-blue-x"]
			m.OwnerReferences[0].Controller = nil
		}, "is not controlled by a ReplicaSet"},
		{"StatefulSet", func(a *api) {
			a.objects["Pod kong-istio/edge-blue-x"] = meta("pod-uid", "apps/v1", "StatefulSet", "edge-blue-1", "rs-uid")
		}, "is not controlled by a ReplicaSet"},
		{"ReplicaSet of another group", func(a *api) {
			a.objects["Pod kong-istio/edge-blue-x"] = meta("pod-uid", "evil.example/v1", "ReplicaSet", "edge-blue-1", "rs-uid")
		}, "is not controlled by a ReplicaSet"},
		{"forged ReplicaSet uid", func(a *api) {
			a.objects["Pod kong-istio/edge-blue-x"] = meta("pod-uid", "apps/v1", "ReplicaSet", "edge-blue-1", "forged")
		}, "ReplicaSet kong-istio/edge-blue-1 with uid forged does not exist"},
		{"Deployment of nobody", func(a *api) {
			a.objects["Deployment kong-istio/edge-blue"] = meta("deploy-uid", "", "", "", "")
		}, "is not controlled by a KongIstioGateway"},
		{"gateway gone", func(a *api) { delete(a.objects, "KongIstioGateway kong-istio/edge") }, "does not exist"},
		{"other ServiceAccount", func(a *api) { a.status.User.Username = "system:serviceaccount:kong-istio:default" }, "does not use ServiceAccount default"},
		{"other namespace", func(a *api) { a.status.User.Username = "system:serviceaccount:other:edge" }, "Pod other/edge-blue-x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := good()
			c.change(a)
			_, err := authenticator(a).Authenticate(t.Context(), "token")
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, server.ErrUnavailable) {
				t.Fatalf("got %v, want a refusal with %q", err, c.want)
			}
		})
	}
}

func TestAPIServerTroubleIsNotARefusal(t *testing.T) {
	a := good()
	a.fail = errors.New("connection refused")
	if _, err := authenticator(a).Authenticate(t.Context(), "token"); !errors.Is(err, server.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestResultIsRememberedShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := good()
		auth := authenticator(a)
		for range 3 {
			if _, err := auth.Authenticate(t.Context(), "token"); err != nil {
				t.Fatal(err)
			}
		}
		if a.reviews != 1 {
			t.Fatalf("%d reviews, want 1", a.reviews)
		}
		time.Sleep(remember)
		delete(a.objects, "Pod kong-istio/edge-blue-x")
		if _, err := auth.Authenticate(t.Context(), "token"); err == nil {
			t.Fatal("a pod that is gone was let in after the result had lapsed")
		}
		if _, err := auth.Authenticate(t.Context(), "token"); err == nil || a.reviews != 3 {
			t.Fatalf("a refusal was remembered: %d reviews", a.reviews)
		}
	})
}
