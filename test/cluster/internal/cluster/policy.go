// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
)

// istiodHasPolicy asks istiod itself, through the API server, which mesh
// configuration it uses: the ConfigMap alone does not show that it was read.
func istiodHasPolicy(ctx context.Context, clients kubernetes.Interface, want addons.Policy) error {
	pods, err := clients.CoreV1().Pods(addons.IstioNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		return fmt.Errorf("no istiod Pod in namespace %s", addons.IstioNamespace)
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase != corev1.PodRunning {
			continue
		}
		data, err := clients.CoreV1().Pods(addons.IstioNamespace).ProxyGet("http", pod.Name, "15014", "/debug/mesh", nil).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("ask %s for its mesh configuration: %w", pod.Name, err)
		}
		got, err := policyOf(data)
		if err != nil {
			return fmt.Errorf("mesh configuration of %s: %w", pod.Name, err)
		}
		if got != want {
			return fmt.Errorf("%s still has outbound traffic policy %s", pod.Name, got)
		}
	}
	return nil
}

// policyOf reads the policy from a mesh configuration, where the default may be
// left out.
func policyOf(mesh []byte) (addons.Policy, error) {
	var config struct {
		OutboundTrafficPolicy struct {
			Mode addons.Policy `json:"mode"`
		} `json:"outboundTrafficPolicy"`
	}
	if err := yaml.Unmarshal(mesh, &config); err != nil {
		return "", err
	}
	switch mode := config.OutboundTrafficPolicy.Mode; mode {
	case "":
		return addons.RegistryOnly, nil
	default:
		return mode, nil
	}
}
