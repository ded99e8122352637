// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
)

// Routing is what the control plane must know about one accepted gateway.
type Routing struct {
	Key types.NamespacedName
	UID types.UID
	// IngressClassName is a class that the gateway owns.
	IngressClassName string
	// Mesh is the mode in force.
	Mesh v1alpha1.MeshMode
	// ScopeFrozen says that the egress scope is ours and not written at present: what it does not cover has to wait.
	ScopeFrozen bool
	// UpstreamHost is the Host header for backends.
	UpstreamHost v1alpha1.UpstreamHost
	// Listeners are the gateway's.
	Listeners []v1alpha1.Listener
	// Addresses are written to the status of routes.
	Addresses []v1alpha1.Address
}

// RouteFacts is what the control plane says about one gateway's routes.
type RouteFacts struct {
	// Synced says that the rest is the truth: caches are filled and the gateway's routes are compiled.
	Synced         bool
	AttachedRoutes int32
	// Problems are sorted; MoreProblems is how many there are that do not fit the status.
	Problems     []v1alpha1.Problem
	MoreProblems int
	// Backends are every Service port that routes or plugins name.
	Backends []mesh.Backend
}

// Routes is the part of the control plane that compiles routes. Safe for concurrent use.
type Routes interface {
	// SetGateway tells that a gateway serves its class. It is cheap when nothing changed.
	SetGateway(Routing)
	// RemoveGateway tells that a gateway is gone.
	RemoveGateway(types.NamespacedName)
	Facts(types.NamespacedName) RouteFacts
	// SetEgress tells, per upstream "ip:port", the hash of the egress entry that was written for it.
	SetEgress(types.NamespacedName, map[string]string)
	// Changes carries an event for each gateway whose Facts changed.
	Changes() <-chan event.GenericEvent
}

// FleetFacts is what the configuration stream says about one gateway's proxies.
type FleetFacts struct {
	// Known is false while the stream has not heard from proxies for long enough to tell.
	Known                 bool
	Connected, Programmed int32
	// Rejected are whole sentences, Behind the names of pods that are more than 10 seconds behind; both sorted.
	Rejected, Behind []string
	// TooLarge says why the snapshot does not fit its Secrets; empty when it does.
	TooLarge string
	// Streams are the names of the pods that have a stream; Lost says since when pods that had one have none.
	Streams map[string]bool
	Lost    map[string]time.Time
	// Expected is when all proxies have had the time to connect to this manager; zero while it does not listen.
	Expected time.Time
	// Version is the version of the proxies; the oldest when they differ.
	Version string
}

// Fleet is the part of the control plane that streams to the proxies. Safe for concurrent use.
type Fleet interface {
	Facts(types.NamespacedName) FleetFacts
	// Changes carries an event for each gateway whose Facts changed.
	Changes() <-chan event.GenericEvent
}

// Trust hands out the public roots of the control stream. Safe for concurrent use.
type Trust interface {
	// Bundle is the PEM bundle; empty while there is none.
	Bundle() string
	// Changes carries an event, about any object, each time the bundle changed.
	Changes() <-chan event.GenericEvent
}
