// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
)

// PodState is what a live pod proves about its membership.
type PodState struct {
	// Injected says that the pod has a sidecar; Native that it is an init container that keeps running.
	Injected, Native bool
	// Revision is the control plane that injected it.
	Revision string
	// Ready says that the sidecar is ready.
	Ready bool
}

// InspectPod reads a pod's membership from the containers that it really has; annotations only add the revision.
func InspectPod(pod *corev1.Pod) PodState {
	s := PodState{}
	for _, c := range pod.Spec.InitContainers {
		if c.Name == sidecarContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			s.Injected, s.Native = true, true
		}
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == sidecarContainer {
			s.Injected = true
		}
	}
	if !s.Injected {
		return s
	}
	s.Revision = injectedRevision(pod.Annotations)
	statuses := pod.Status.ContainerStatuses
	if s.Native {
		statuses = pod.Status.InitContainerStatuses
	}
	for _, c := range statuses {
		if c.Name == sidecarContainer {
			s.Ready = c.Ready
		}
	}
	return s
}

// injectedRevision prefers the injector's own record, which names the real revision even when a tag was used.
func injectedRevision(annotations map[string]string) string {
	var status struct {
		Revision string `json:"revision"`
	}
	if err := json.Unmarshal([]byte(annotations[annotationStatus]), &status); err == nil && status.Revision != "" {
		return status.Revision
	}
	return annotations[annotationRevision]
}
