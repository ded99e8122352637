// SPDX-License-Identifier: Apache-2.0

// Package webhook is the validating admission webhook's shell: it reads reviews,
// asks the manager's caches, answers, and keeps the configuration by which the
// API server calls it. What is refused internal/controlplane/admission decides.
//
// Every replica of the manager answers; only the leader writes the
// configuration. A missing, failing or outdated webhook is harmless: all that it
// checks the control plane checks again.
package webhook
