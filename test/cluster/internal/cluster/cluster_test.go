// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/access"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/addons"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
)

func newCluster(t *testing.T, stateDir string) *Cluster {
	t.Helper()
	plan, err := layout.New("kig", stateDir, t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{Cluster: plan, Progress: io.Discard}
}

func TestDownTouchesOnlyAClustersState(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "precious")
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, dir)
	if err := c.Up(t.Context(), UpOptions{}); err == nil {
		t.Error("up would use a directory that is not a cluster's")
	}
	if err := c.Down(t.Context()); err == nil {
		t.Error("down removed a directory that is not a cluster's")
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
}

func TestDownOfWhatNeverRan(t *testing.T) {
	c := newCluster(t, "")
	if err := c.Down(t.Context()); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.MkdirAll(c.StateDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.prepareStateDir(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Down(t.Context()); err != nil {
		t.Errorf("only a state directory: %v", err)
	}
	if exists(filepath.Dir(c.StateDir)) {
		t.Error("the state directory is still there")
	}
	status, err := c.Status(t.Context())
	if err != nil || status.State != Stopped || len(status.Problems) == 0 {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	c := newCluster(t, "")
	unlock, err := c.lock(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan func())
	go func() {
		second, err := c.lock(t.Context(), true)
		if err != nil {
			t.Error(err)
			second = func() {}
		}
		taken <- second
	}()
	// The second one must get a lock on a directory that exists, although the
	// first removes the one it waits for.
	if err := os.RemoveAll(c.StateDir); err != nil {
		t.Fatal(err)
	}
	unlock()
	(<-taken)()
	if !exists(c.StateDir) {
		t.Error("locked a directory that is gone")
	}
}

func TestMountBelow(t *testing.T) {
	if mounted, err := mountBelow("/"); err != nil || mounted != "" {
		// "//" prefixes nothing; the root itself is not below anything.
		t.Errorf("below /: %q, %v", mounted, err)
	}
	if mounted, err := mountBelow(t.TempDir()); err != nil || mounted != "" {
		t.Errorf("below an ordinary directory: %q, %v", mounted, err)
	}
}

func TestPolicyOf(t *testing.T) {
	tests := []struct {
		mesh string
		want addons.Policy
		ok   bool
	}{
		{`{"outboundTrafficPolicy":{"mode":"ALLOW_ANY"}}`, addons.AllowAny, true},
		{`{"outboundTrafficPolicy":{}}`, addons.RegistryOnly, true},
		{`{}`, "", false},
		{`not JSON`, "", false},
	}
	for _, tt := range tests {
		if got, err := policyOf([]byte(tt.mesh)); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.mesh, got, err)
		}
	}
}

func TestNotReady(t *testing.T) {
	err := notReady("[+]ping ok\n[-]etcd failed: reason withheld\n[-]rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n")
	if got := err.Error(); got != "not ready: waiting for etcd, rbac/bootstrap-roles" {
		t.Errorf("%q", got)
	}
	if got := notReady("something else\n").Error(); got != "not ready: something else" {
		t.Errorf("%q", got)
	}
}

func TestNodeReadyWantsAFreshHeartbeat(t *testing.T) {
	now := time.Now()
	object := func(status corev1.ConditionStatus, heartbeat time.Time) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: status, LastHeartbeatTime: metav1.NewTime(heartbeat.Truncate(time.Second))},
		}}}
	}
	for name, tt := range map[string]struct {
		node *corev1.Node
		ok   bool
	}{
		"fresh":     {object(corev1.ConditionTrue, now), true},
		"stale":     {object(corev1.ConditionTrue, now.Add(-time.Minute)), false},
		"not ready": {object(corev1.ConditionFalse, now), false},
		"silent":    {&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, false},
	} {
		if err := nodeReady(fake.NewClientset(tt.node), "n", now)(t.Context()); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadBalancersOfToday(t *testing.T) {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80, Protocol: "TCP"}}},
		Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "10.202.0.1"}}}},
	}
	forwards := []access.Forward{
		{Namespace: "n", Name: "a", Port: access.Port{Port: 80, Protocol: "TCP"}, HostPort: 21010},
		{Namespace: "n", Name: "a", Port: access.Port{Port: 81, Protocol: "TCP"}, HostPort: 21011},
		{Namespace: "n", Name: "gone", Port: access.Port{Port: 80, Protocol: "TCP"}, HostPort: 21012},
	}
	got, err := loadBalancers(t.Context(), fake.NewClientset(service), forwards)
	if err != nil || len(got) != 1 || len(got[0].Ports) != 1 || got[0].Ports[0].HostAddress != "127.0.0.1:21010" || got[0].Address != "10.202.0.1" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSettingsRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.json")
	if empty, err := readSettings(path); err != nil || empty.Istio {
		t.Errorf("no file: %+v, %v", empty, err)
	}
	want := Settings{Ports: layout.PortBlock{First: 21000}, Tools: map[string]string{"a": "/a"}, Istio: true, Policy: addons.AllowAny, NoSidecars: "why"}
	if err := want.write(path); err != nil {
		t.Fatal(err)
	}
	got, err := readSettings(path)
	if err != nil || got.Ports != want.Ports || got.Tools["a"] != "/a" || got.Policy != want.Policy || got.NoSidecars != "why" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readSettings(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("broken file: %v", err)
	}
}
