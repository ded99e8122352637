// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the Go types of API group gateway.konghq.com, version v1alpha1:
// KongIstioGateway, the one object that describes a Kong gateway fleet inside an Istio mesh.
//
// Every check on a spec exists twice, with the same text: as CEL in the generated
// CustomResourceDefinition, so that the API server refuses a bad object at once, and in Validate,
// so that an object that came around the API server's checks (an older stored object, a last
// accepted spec) is judged by the same rules. Unsupported lists the members that this build
// declares but does not act on.
//
// +kubebuilder:object:generate=true
// +groupName=gateway.konghq.com
package v1alpha1
