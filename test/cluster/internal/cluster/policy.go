// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
)

// istiodHasPolicy asks istiod itself which mesh configuration it uses: the
// ConfigMap alone does not show that it was read. istiod answers without
// credentials only inside its own Pod.
func (c *Cluster) istiodHasPolicy(ctx context.Context, settings Settings, clients kubernetes.Interface, want addons.Policy) error {
	pods, err := clients.CoreV1().Pods(addons.IstioNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if err != nil {
		return err
	}
	asked := 0
	for _, pod := range pods.Items {
		if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
			continue
		}
		asked++
		data, err := c.kubectl(ctx, settings, "--namespace", pod.Namespace, "exec", pod.Name, "--",
			"/usr/local/bin/pilot-discovery", "request", "GET", "/debug/mesh").Output()
		if err != nil {
			return fmt.Errorf("ask %s for its mesh configuration: %w%s", pod.Name, err, stderrOf(err))
		}
		got, err := policyOf(data)
		if err != nil {
			return fmt.Errorf("mesh configuration of %s: %w", pod.Name, err)
		}
		if got != want {
			return fmt.Errorf("%s still has outbound traffic policy %s", pod.Name, got)
		}
	}
	if asked == 0 {
		return fmt.Errorf("no running istiod Pod in namespace %s", addons.IstioNamespace)
	}
	return nil
}

// policyOf reads the policy from a mesh configuration in protobuf's JSON, which
// leaves out the value that has number zero.
func policyOf(mesh []byte) (addons.Policy, error) {
	var config struct {
		OutboundTrafficPolicy *struct {
			Mode addons.Policy `json:"mode"`
		} `json:"outboundTrafficPolicy"`
	}
	if err := json.Unmarshal([]byte(strings.TrimSpace(string(mesh))), &config); err != nil {
		return "", err
	}
	switch {
	case config.OutboundTrafficPolicy == nil:
		return "", fmt.Errorf("no outboundTrafficPolicy in it")
	case config.OutboundTrafficPolicy.Mode == "":
		return addons.RegistryOnly, nil
	}
	return config.OutboundTrafficPolicy.Mode, nil
}
