// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/nodeconfig"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/progress"
)

const (
	pollInterval = 200 * time.Millisecond
	// maxRestarts is how often a component may end by itself before waiting for
	// it is pointless.
	maxRestarts = 4
)

// condition returns nil when it holds, else what is missing.
type condition func(context.Context) error

// waitForPods is waitFor for what runs in Pods: its log is kubectl's to show.
func (c *Cluster) waitForPods(ctx context.Context, client *node.Client, namespace, deployment string, ready condition) error {
	err := c.waitFor(ctx, client, nodeconfig.Kubelet, ready)
	var failure *progress.Failure
	if errors.As(err, &failure) {
		failure.Part = deployment
		failure.Fix = fmt.Sprintf("look at `cluster --name %[1]s kubectl -n %[2]s describe pods` and `cluster --name %[1]s kubectl -n %[2]s logs deploy/%[3]s`, then run the same command again; above is the kubelet's log", c.Name, namespace, deployment)
	}
	return err
}

// waitFor polls until the condition holds. It gives up early when the component
// keeps ending by itself. The error names the component and shows its log.
func (c *Cluster) waitFor(ctx context.Context, client *node.Client, component string, ready condition) error {
	before, err := restarts(ctx, client, component)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		// When the time is up, the error before says more than the interruption.
		if ctx.Err() != nil && last != nil {
			err = last
		}
		last = err
		failure := &progress.Failure{Part: component, Log: c.Log(component), Err: err}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			failure.Err = fmt.Errorf("not ready in time: %w", err)
			return failure
		case <-ticker.C:
		}
		if now, err := restarts(ctx, client, component); err == nil && now-before >= maxRestarts {
			failure.Err = fmt.Errorf("it ended %d times by itself", now-before)
			return failure
		}
	}
}

func restarts(ctx context.Context, client *node.Client, component string) (int, error) {
	components, err := client.Components(ctx)
	if err != nil {
		return 0, err
	}
	for _, status := range components {
		if status.Name == component {
			return status.Restarts, nil
		}
	}
	return 0, nil
}

// kubernetesClient talks to the API server through the host's forwarder.
func (c *Cluster) kubernetesClient() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	// The client is the cluster's own; nobody else needs protection from it.
	config.QPS, config.Burst = 100, 100
	return kubernetes.NewForConfig(config)
}

func apiReady(clients *kubernetes.Clientset) condition {
	return func(ctx context.Context) error {
		body, err := clients.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil || len(body) == 0 {
			return err
		}
		return notReady(string(body))
	}
}

// notReady keeps what the API server still waits for out of all that it lists.
func notReady(body string) error {
	var waiting []string
	for line := range strings.Lines(body) {
		if check, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			waiting = append(waiting, name)
		}
	}
	if len(waiting) == 0 {
		return fmt.Errorf("not ready: %s", strings.TrimSpace(body))
	}
	return fmt.Errorf("not ready: waiting for %s", strings.Join(waiting, ", "))
}

// nodeReady holds when the node is Ready and its kubelet has said so since the
// given time: after a restart the API server still shows what was before.
func nodeReady(clients kubernetes.Interface, name string, since time.Time) condition {
	return func(ctx context.Context) error {
		object, err := clients.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range object.Status.Conditions {
			if condition.Type != corev1.NodeReady {
				continue
			}
			if condition.Status != corev1.ConditionTrue {
				return fmt.Errorf("node %s is not Ready: %s", name, condition.Message)
			}
			// The API has only whole seconds.
			if condition.LastHeartbeatTime.Time.Before(since.Truncate(time.Second)) {
				return fmt.Errorf("the kubelet of node %s has not reported since it was started", name)
			}
			return nil
		}
		return fmt.Errorf("node %s has not said yet whether it is Ready", name)
	}
}

func deploymentReady(clients kubernetes.Interface, namespace, name string) condition {
	return func(ctx context.Context) error {
		object, err := clients.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if rolledOut(object) {
			return nil
		}
		return fmt.Errorf("deployment %s/%s: %d of %d replicas ready%s", namespace, name,
			object.Status.ReadyReplicas, wanted(object), podTroubles(ctx, clients, object))
	}
}

func wanted(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func rolledOut(d *appsv1.Deployment) bool {
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == wanted(d) &&
		s.Replicas == wanted(d) && s.AvailableReplicas == wanted(d)
}

// podTroubles says what the Pods of a Deployment wait for.
func podTroubles(ctx context.Context, clients kubernetes.Interface, d *appsv1.Deployment) string {
	pods, err := clients.CoreV1().Pods(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
	if err != nil {
		return ""
	}
	out := ""
	for _, pod := range pods.Items {
		for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			if waiting := status.State.Waiting; waiting != nil && waiting.Message != "" {
				out += fmt.Sprintf("; pod %s, container %s: %s: %s", pod.Name, status.Name, waiting.Reason, waiting.Message)
			}
		}
	}
	return out
}
