// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const (
	gatewayNamespace = "kong-istio"
	gatewayName      = "edge"
	managerNamespace = "kong-istio-system"
	managerSelector  = "app.kubernetes.io/component=manager"
	clientHost       = "Host: api.example.com"
)

// pass runs the whole table once.
func (w *walk) pass(ctx context.Context, index int, name string) error {
	w.passName = name
	// A client of its own for each pass: its quota is its own, too.
	w.source = fmt.Sprintf("10.201.1.%d", 10+20*index+int(time.Now().Unix()/60)%20)
	policy := "ALLOW_ANY"
	if name == "registry-only" {
		policy = "REGISTRY_ONLY"
	}
	if _, err := w.run(ctx, "istio", "--outbound-traffic-policy", policy); err != nil {
		return err
	}
	if err := w.meshState(ctx); err != nil {
		return err
	}
	if name == "kong" {
		return w.kongExamples(ctx)
	}
	for _, s := range []struct {
		number string
		run    func(context.Context)
		away   bool // the manager is killed when the step begins
	}{
		{"1", w.gateway, false},
		{"2", w.backends, false},
		{"3", w.routes, true},
		{"4", w.rateLimit, true},
		{"5", w.ipRestriction, false},
		{"6", w.httpLog, true},
		{"7", w.mesh, false},
		{"8", w.removal, true},
	} {
		w.step = s.number
		if name == "manager-away" && s.away {
			w.killManager(ctx)
		}
		s.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// meshState asks the cluster whether there are sidecars.
func (w *walk) meshState(ctx context.Context) error {
	out, err := w.run(ctx, "status", "--json")
	if err != nil {
		return err
	}
	var status struct {
		Mesh struct {
			Sidecars bool   `json:"sidecars"`
			Reason   string `json:"reason"`
		} `json:"mesh"`
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return fmt.Errorf("cluster status: %w", err)
	}
	w.meshless = ""
	if !status.Mesh.Sidecars {
		w.meshless = status.Mesh.Reason
	}
	return nil
}

// killManager ends all manager pods without grace; the Deployment brings new
// ones. Requests that run meanwhile must not notice.
func (w *walk) killManager(ctx context.Context) {
	watch := make(chan []answer, 1)
	watched := w.address != "" && w.step != "3"
	if watched {
		go func() {
			answers, err := w.fetch(ctx, w.source, w.url("/status-of-traffic"), "-seconds", "5", "-H", clientHost)
			if err != nil {
				answers = []answer{{Error: err.Error()}}
			}
			watch <- answers
		}()
	}
	_, err := w.kubectl(ctx, "-n", managerNamespace, "delete", "pods", "-l", managerSelector, "--grace-period=0", "--force")
	w.check("manager killed", "pods deleted", "", err)
	if !watched {
		return
	}
	answers := <-watch
	lost := 0
	for _, a := range answers {
		if a.Error != "" || a.Status >= 500 {
			lost++
		}
	}
	err = nil
	if lost > 0 || len(answers) < 20 {
		err = fmt.Errorf("%d of %d requests lost", lost, len(answers))
	}
	w.check("traffic while the manager is away", "no request lost", fmt.Sprintf("%d requests", len(answers)), err)
}

// apply applies a file of the walkthrough. Right after a restart of the
// manager its webhooks may be away for a moment, so it is tried again.
func (w *walk) apply(ctx context.Context, file string) error {
	return eventually(ctx, 30*time.Second, func() error {
		_, err := w.kubectl(ctx, "apply", "-f", filepath.Join(w.examples, file))
		return err
	})
}

func (w *walk) url(path string) string { return "http://" + w.address + path }

// get makes one request as the pass's client.
func (w *walk) get(ctx context.Context, path string) (answer, error) {
	return w.getFrom(ctx, w.source, path)
}

func (w *walk) getFrom(ctx context.Context, source, path string) (answer, error) {
	answers, err := w.fetch(ctx, source, w.url(path), "-H", clientHost)
	if err != nil {
		return answer{}, err
	}
	return answers[0], nil
}

// expect repeats a request until it gets the status and the text.
func (w *walk) expect(ctx context.Context, path string, status int, text string) (answer, error) {
	var last answer
	err := eventually(ctx, 45*time.Second, func() error {
		a, err := w.get(ctx, path)
		if err != nil {
			return err
		}
		last = a
		if a.Status != status || !strings.Contains(a.Body, text) {
			return fmt.Errorf("want %d with %q", status, text)
		}
		return nil
	})
	return last, err
}

// hostAddress returns where the gateway is reached from the host.
func (w *walk) hostAddress(ctx context.Context) string {
	out, err := w.run(ctx, "status", "--json")
	if err != nil {
		return ""
	}
	var status struct {
		LoadBalancers []struct {
			Namespace, Name string
			Ports           []struct {
				Port        int    `json:"port"`
				HostAddress string `json:"hostAddress"`
			} `json:"ports"`
		} `json:"loadBalancers"`
	}
	if json.Unmarshal([]byte(out), &status) != nil {
		return ""
	}
	for _, lb := range status.LoadBalancers {
		if lb.Namespace != gatewayNamespace || lb.Name != gatewayName {
			continue
		}
		for _, p := range lb.Ports {
			if p.Port == 80 {
				return p.HostAddress
			}
		}
	}
	return ""
}

// leaveUp brings back what the last step took away, so that a user finds the
// walkthrough's end state.
func (w *walk) leaveUp(ctx context.Context) error {
	for _, file := range []string{"01-gateway.yaml", "02-backends.yaml", "03-ingress.yaml"} {
		if err := w.apply(ctx, file); err != nil {
			return err
		}
	}
	_, err := w.kubectl(ctx, "-n", gatewayNamespace, "wait", "kongistiogateways/"+gatewayName, "--for=condition=Ready", "--timeout=120s")
	return err
}
