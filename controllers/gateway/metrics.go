// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// childOperations counts writes of child objects. Its labels are bounded by the kinds that are rendered.
var childOperations = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "kong_istio_gateway_child_operations_total",
	Help: "Writes of child objects by kind and operation (created, patched, deleted, refused, failed).",
}, []string{"kind", "operation"})

func init() { metrics.Registry.MustRegister(childOperations) }
