// SPDX-License-Identifier: Apache-2.0

// Package streamauth finds out which gateway a proxy belongs to. The proxy's
// ServiceAccount token is bound to its pod; the pod is authorised by the chain
// of its controllers: ReplicaSet, Deployment, KongIstioGateway. Whoever can mint
// a token for the ServiceAccount still is not a gateway's pod.
package streamauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/configsync"
	"github.com/kong/kong-istio-gateway/internal/configsync/server"
)

// Creator creates TokenReviews; a controller-runtime client is one.
type Creator interface {
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
}

// Config is what an Authenticator needs.
type Config struct {
	Creator Creator
	// Reader reads the metadata of pods, ReplicaSets, Deployments and gateways.
	// It may be a cache.
	Reader client.Reader
	// Audience is that of the proxies' tokens.
	Audience string
}

const (
	// remember is how long the result for a token is used again. It spares the
	// API server when all proxies of a gateway reconnect several times.
	remember    = time.Minute
	rememberMax = 4096 // tokens
)

// Keys of a token's extra fields; see the API server's documentation of bound
// ServiceAccount tokens.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"

	userPrefix = "system:serviceaccount:"
)

// Authenticator implements server.Authenticator. It is safe for concurrent use.
type Authenticator struct {
	config Config

	mu    sync.Mutex
	known map[[sha256.Size]byte]remembered
}

type remembered struct {
	identity server.Identity
	until    time.Time
}

// New returns an authenticator.
func New(c Config) *Authenticator {
	return &Authenticator{config: c, known: make(map[[sha256.Size]byte]remembered)}
}

// Authenticate implements server.Authenticator. Refusals say what is missing;
// troubles with the API server wrap server.ErrUnavailable.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (server.Identity, error) {
	sum := sha256.Sum256([]byte(token))
	if id, ok := a.recall(sum, time.Now()); ok {
		return id, nil
	}
	b, err := a.review(ctx, token)
	if err != nil {
		return server.Identity{}, err
	}
	id, err := a.authorise(ctx, b)
	if err != nil {
		return server.Identity{}, err
	}
	a.keep(sum, id, time.Now())
	return id, nil
}

func (a *Authenticator) recall(sum [sha256.Size]byte, now time.Time) (server.Identity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.known[sum]
	return r.identity, ok && now.Before(r.until)
}

func (a *Authenticator) keep(sum [sha256.Size]byte, id server.Identity, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= rememberMax {
		for k, r := range a.known {
			if !now.Before(r.until) {
				delete(a.known, k)
			}
		}
	}
	if len(a.known) < rememberMax {
		a.known[sum] = remembered{id, now.Add(remember)}
	}
}

// bound is what a token is bound to.
type bound struct {
	namespace, serviceAccount string
	podName                   string
	podUID                    types.UID
}

func (a *Authenticator) review(ctx context.Context, token string) (bound, error) {
	review := &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{a.config.Audience}},
	}
	if err := a.config.Creator.Create(ctx, review); err != nil {
		return bound{}, fmt.Errorf("%w: token review: %w", server.ErrUnavailable, err)
	}
	return boundOf(review.Status, a.config.Audience)
}

// boundOf reads what a token is bound to from the API server's answer.
func boundOf(s authenticationv1.TokenReviewStatus, audience string) (bound, error) {
	if !s.Authenticated {
		return bound{}, fmt.Errorf("the token is not valid for audience %q", audience)
	}
	// An API server that does not know audiences leaves them out.
	if !slices.Contains(s.Audiences, audience) {
		return bound{}, fmt.Errorf("the token is not for audience %q", audience)
	}
	namespace, name, ok := strings.Cut(strings.TrimPrefix(s.User.Username, userPrefix), ":")
	if !ok || !strings.HasPrefix(s.User.Username, userPrefix) {
		return bound{}, fmt.Errorf("%q is not a ServiceAccount", s.User.Username)
	}
	b := bound{namespace: namespace, serviceAccount: name, podName: single(s, extraPodName), podUID: types.UID(single(s, extraPodUID))}
	if b.podName == "" || b.podUID == "" {
		return bound{}, fmt.Errorf("the token of ServiceAccount %s/%s is not bound to a pod; use a projected volume", namespace, name)
	}
	return b, nil
}

func single(s authenticationv1.TokenReviewStatus, key string) string {
	if v := s.User.Extra[key]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// chain leads from a pod to its gateway: each controls the one before. Owner
// references may name any version of the group.
var chain = []schema.GroupVersionKind{
	corev1.SchemeGroupVersion.WithKind("Pod"),
	appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
	appsv1.SchemeGroupVersion.WithKind("Deployment"),
	v1alpha1.GroupVersion.WithKind(v1alpha1.Kind),
}

// authorise follows the pod's controllers up to the gateway. Each is read, and
// must have the uid that the reference names: references are only claims.
func (a *Authenticator) authorise(ctx context.Context, b bound) (server.Identity, error) {
	name, uid := b.podName, b.podUID
	for i, gvk := range chain {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(gvk)
		err := a.config.Reader.Get(ctx, types.NamespacedName{Namespace: b.namespace, Name: name}, object)
		if apierrors.IsNotFound(err) || err == nil && object.UID != uid {
			return server.Identity{}, fmt.Errorf("%s %s/%s with uid %s does not exist", gvk.Kind, b.namespace, name, uid)
		}
		if err != nil {
			return server.Identity{}, fmt.Errorf("%w: %s %s/%s: %w", server.ErrUnavailable, gvk.Kind, b.namespace, name, err)
		}
		if i == len(chain)-1 {
			break
		}
		owner := metav1.GetControllerOf(object)
		if !controls(owner, chain[i+1]) {
			return server.Identity{}, fmt.Errorf("%s %s/%s is not controlled by a %s", gvk.Kind, b.namespace, name, chain[i+1].Kind)
		}
		name, uid = owner.Name, owner.UID
	}
	if b.serviceAccount != name {
		return server.Identity{}, fmt.Errorf("gateway %s/%s does not use ServiceAccount %s", b.namespace, name, b.serviceAccount)
	}
	return server.Identity{
		Gateway: configsync.Gateway{Namespace: b.namespace, Name: name},
		PodName: b.podName, PodUID: string(b.podUID),
	}, nil
}

func controls(owner *metav1.OwnerReference, gvk schema.GroupVersionKind) bool {
	if owner == nil || owner.Kind != gvk.Kind {
		return false
	}
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && gv.Group == gvk.Group
}
