// SPDX-License-Identifier: Apache-2.0

package main

import (
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/kong/kong-istio-gateway/controllers/gateway"
	"github.com/kong/kong-istio-gateway/internal/operator/apply"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

// controlPlaneParts is what the operator needs of the control plane.
type controlPlaneParts struct {
	Routes gateway.Routes
	Fleet  gateway.Fleet
	Trust  gateway.Trust
	// Objects is the cache of the objects that routes are made of.
	Objects cache.Cache
}

// setupOperator registers the reconciler of KongIstioGateway.
func setupOperator(mgr ctrl.Manager, o options, parts controlPlaneParts) error {
	r := &gateway.Reconciler{
		Client: mgr.GetClient(),
		Engine: &apply.Engine{
			Cached: mgr.GetClient(), Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Scheme: mgr.GetScheme(), Clock: clock.RealClock{},
		},
		Recorder: mgr.GetEventRecorder("kong-istio-gateway"),
		Routes:   parts.Routes, Fleet: parts.Fleet, Trust: parts.Trust,
		Settings: render.Settings{ProxyImage: o.proxyImage, StreamHost: o.streamHost(), ClusterDomain: o.clusterDomain},
		Clock:    clock.RealClock{},
	}
	return r.SetupWithManager(mgr)
}
