// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

// trust hands the control plane's public roots to the reconciler. It implements gateway.Trust.
type trust struct {
	bundle  atomic.Pointer[string]
	changes chan event.GenericEvent
}

func newTrust() *trust { return &trust{changes: make(chan event.GenericEvent, 16)} }

// set is the authority's OnBundle.
func (t *trust) set(pem []byte) {
	text := string(pem)
	t.bundle.Store(&text)
	t.changes <- event.GenericEvent{Object: &v1alpha1.KongIstioGateway{}}
}

// Bundle implements gateway.Trust.
func (t *trust) Bundle() string {
	if p := t.bundle.Load(); p != nil {
		return *p
	}
	return ""
}

// Changes implements gateway.Trust.
func (t *trust) Changes() <-chan event.GenericEvent { return t.changes }
