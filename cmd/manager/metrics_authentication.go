// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// How long the API server's answer about a token is believed. A refusal is asked again sooner, because the missing role
// may just have been bound.
const (
	allowedFor = time.Minute
	refusedFor = 10 * time.Second
)

// metricsGate lets in who carries a token of the cluster and may get the path, as RBAC for nonResourceURLs says. It asks
// the API server itself: the library for it would bring the API server's whole dependency tree into the manager.
type metricsGate struct {
	client kubernetes.Interface
	clock  clock.PassiveClock

	mu      sync.Mutex
	answers map[[sha256.Size]byte]answer
}

type answer struct {
	status int
	until  time.Time
}

// metricsAuthentication makes the filter for the metrics endpoint.
func metricsAuthentication(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	client, err := kubernetes.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, err
	}
	g := &metricsGate{client: client, clock: clock.RealClock{}, answers: map[[sha256.Size]byte]answer{}}
	return g.filter, nil
}

func (g *metricsGate) filter(log logr.Logger, next http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !ok || token == "" {
			http.Error(w, "a bearer token is required", http.StatusUnauthorized)
			return
		}
		status, err := g.judge(req.Context(), token, req.URL.Path, strings.ToLower(req.Method))
		switch {
		case err != nil:
			log.Error(err, "Asking the API server about a metrics client")
			http.Error(w, "the API server cannot be asked", http.StatusInternalServerError)
		case status != http.StatusOK:
			http.Error(w, http.StatusText(status), status)
		default:
			next.ServeHTTP(w, req)
		}
	}), nil
}

func (g *metricsGate) judge(ctx context.Context, token, path, verb string) (int, error) {
	key := sha256.Sum256([]byte(verb + "\x00" + path + "\x00" + token))
	now := g.clock.Now()
	g.mu.Lock()
	known, ok := g.answers[key]
	g.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.status, nil
	}
	status, err := g.ask(ctx, token, path, verb)
	if err != nil {
		return 0, err
	}
	keep := refusedFor
	if status == http.StatusOK {
		keep = allowedFor
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, a := range g.answers {
		if !now.Before(a.until) {
			delete(g.answers, k)
		}
	}
	g.answers[key] = answer{status: status, until: now.Add(keep)}
	return status, nil
}

// ask returns 200, 401 (no such user) or 403 (not allowed).
func (g *metricsGate) ask(ctx context.Context, token, path, verb string) (int, error) {
	review, err := g.client.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	if !review.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := review.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	access, err := g.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	if !access.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
