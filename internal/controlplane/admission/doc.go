// SPDX-License-Identifier: Apache-2.0

// Package admission decides which objects the validating webhook refuses. It is
// pure: a decision follows from the object, what was there before, and what a
// Lookup answers.
//
// The rules are the translators' own. An object is translated as the control
// plane would translate it, with references that answer as if everything that
// may still be created existed; what the translator then finds wrong with the
// object itself is a refusal or a warning. So nothing is refused that the
// control plane would serve, and a cluster without the webhook behaves the same,
// only later: by a condition and an event instead of a refused request.
//
// What is merely missing and may follow in the same kubectl apply (a Service, a
// plugin, a group, a TLS Secret) is nobody's fault yet and is not judged. The
// exceptions are those of Kong's ingress controller: the Secrets that a consumer
// or a plugin's configuration is made of.
package admission
