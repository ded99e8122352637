// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// gateway is step 1: one object becomes a gateway.
func (w *walk) gateway(ctx context.Context) {
	if err := w.apply(ctx, "01-gateway.yaml"); err != nil {
		w.check("apply the gateway", "applied", "", err)
		return
	}
	_, err := w.kubectl(ctx, "-n", gatewayNamespace, "wait", "kongistiogateways/"+gatewayName, "--for=condition=Ready", "--timeout=180s")
	if err != nil {
		state, _ := w.kubectl(ctx, "-n", gatewayNamespace, "get", "kongistiogateways", gatewayName, "-o", "jsonpath={.status.conditions}")
		w.check("gateway is ready", "Ready True", tail(state, 600), err)
		return
	}
	out, err := w.kubectl(ctx, "-n", gatewayNamespace, "get", "kongistiogateways", gatewayName, "--no-headers")
	columns := strings.Fields(out)
	if err == nil {
		want := []string{gatewayName, "True", "", "1", "Sidecar", "", "True"}
		if w.meshless != "" {
			want[4] = "None"
		}
		err = likeColumns(columns, want)
	}
	if err == nil {
		w.address = columns[2]
	}
	w.check("kubectl get kongistiogateways", "True <address> 1 Sidecar <routes> True", strings.Join(columns, " "), err)
}

// likeColumns compares printed columns; an empty wish takes anything.
func likeColumns(got, want []string) error {
	if len(got) < len(want) {
		return fmt.Errorf("%d columns, want %d", len(got), len(want))
	}
	for i := range want {
		if want[i] != "" && got[i] != want[i] {
			return fmt.Errorf("column %d is %q, want %q", i+1, got[i], want[i])
		}
	}
	return nil
}

// backends is step 2: meshed echo servers under STRICT.
func (w *walk) backends(ctx context.Context) {
	err := w.apply(ctx, "02-backends.yaml")
	for _, d := range []string{"http-echo-v1", "http-echo-v2"} {
		if err == nil {
			_, err = w.kubectl(ctx, "-n", "echo", "rollout", "status", "deployment/"+d, "--timeout=180s")
		}
	}
	w.check("backends run", "two Deployments available", "", err)
	if w.meshless != "" {
		w.skip("backends have sidecars", "istio-proxy in each pod", w.meshless)
		return
	}
	out, err := w.kubectl(ctx, "-n", "echo", "get", "pods", "-l", "app=http-echo", "-o",
		`jsonpath={range .items[*]}{.metadata.annotations.sidecar\.istio\.io/status}{"\n"}{end}`)
	n := strings.Count(out, "istio-proxy")
	if err == nil && n < 2 {
		err = fmt.Errorf("%d of 2 pods are injected", n)
	}
	w.check("backends have sidecars", "istio-proxy in each pod", fmt.Sprintf("%d injected", n), err)
}

// routes is step 3: two Ingresses without a host.
func (w *walk) routes(ctx context.Context) {
	if err := w.apply(ctx, "03-ingress.yaml"); err != nil {
		w.check("apply the Ingresses", "applied", "", err)
		return
	}
	a, err := w.expect(ctx, "/", 200, "one says OK")
	w.check("/ from outside", "200, one says OK", a.String(), err)
	a, err = w.expect(ctx, "/v2", 200, "two says OK")
	w.check("/v2 from outside", "200, two says OK", a.String(), err)
	var got string
	err = eventually(ctx, 20*time.Second, func() error {
		got, _ = w.kubectl(ctx, "-n", gatewayNamespace, "get", "kongistiogateways", gatewayName, "-o", "jsonpath={.status.attachedRoutes}")
		address, _ := w.kubectl(ctx, "-n", "echo", "get", "ingress", "kong-ingress", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if got != "2" || address != w.address {
			return fmt.Errorf("want 2 routes and address %s, have %s and %q", w.address, got, address)
		}
		return nil
	})
	w.check("status of gateway and Ingress", "2 routes, the gateway's address", got+" routes", err)
}

// rateLimit is step 4.
func (w *walk) rateLimit(ctx context.Context) {
	if err := w.apply(ctx, "04-rate-limit.yaml"); err != nil {
		w.check("apply rate-limit", "applied", "", err)
		return
	}
	// Another client finds out when the plugin is there, so that this one's
	// quota is untouched.
	scout := scoutOf(w.source)
	err := eventually(ctx, 45*time.Second, func() error {
		a, err := w.getFrom(ctx, scout, "/")
		if err == nil && a.Header.Get("X-RateLimit-Limit-Minute") == "" && a.Status != 429 {
			err = fmt.Errorf("no rate limit yet: %s", a)
		}
		return err
	})
	if err != nil {
		w.check("rate-limit takes effect", "headers appear", "", err)
		return
	}
	waitForMinute(ctx, 10*time.Second)
	first, err := w.get(ctx, "/")
	if err == nil && (first.Status != 200 || first.Header.Get("X-RateLimit-Remaining-Minute") != "0") {
		err = fmt.Errorf("headers %v", first.Header)
	}
	w.check("first request of the minute", "200, 0 remaining", first.String(), err)
	second, err := w.get(ctx, "/")
	if err == nil {
		err = likeRateLimited(second)
	}
	w.check("second request of the minute", "429 with Kong's headers and body", second.String(), err)
	other, err := w.get(ctx, "/v2")
	if err == nil && (other.Status != 200 || other.Header.Get("X-RateLimit-Limit-Minute") != "") {
		err = fmt.Errorf("headers %v", other.Header)
	}
	w.check("/v2 is untouched", "200 without limit", other.String(), err)
}

func likeRateLimited(a answer) error {
	var body struct {
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	if a.Status != 429 {
		return fmt.Errorf("status %d", a.Status)
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || body.Message != "API rate limit exceeded" || len(body.RequestID) != 32 {
		return fmt.Errorf("body %q", a.Body)
	}
	for name, want := range map[string]string{
		"RateLimit-Limit": "1", "RateLimit-Remaining": "0", "X-RateLimit-Limit-Minute": "1", "X-RateLimit-Remaining-Minute": "0",
		"Content-Type": "application/json; charset=utf-8", "X-Kong-Request-Id": body.RequestID,
	} {
		if got := a.Header.Get(name); got != want {
			return fmt.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a.Header.Get("Retry-After") == "" || a.Header.Get("RateLimit-Reset") == "" {
		return errors.New("Retry-After or RateLimit-Reset is missing")
	}
	return nil
}

// scoutOf returns a client address that only looks whether a step took effect.
func scoutOf(source string) string { return strings.Replace(source, "10.201.1.", "10.201.2.", 1) }

// waitForMinute waits until at least left of the current minute remain.
func waitForMinute(ctx context.Context, left time.Duration) {
	now := time.Now()
	next := now.Truncate(time.Minute).Add(time.Minute)
	if next.Sub(now) >= left {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(next.Sub(now)):
	}
}

// ipRestriction is step 5.
func (w *walk) ipRestriction(ctx context.Context) {
	if err := w.apply(ctx, "05-ip-restriction.yaml"); err != nil {
		w.check("apply ip-restriction", "applied", "", err)
		return
	}
	a, err := w.expect(ctx, "/v2", 403, `"message":"IP address not allowed: `+w.source+`"`)
	w.check("/v2 for another address", "403 with Kong's body", a.String(), err)
}

// httpLog is step 6.
func (w *walk) httpLog(ctx context.Context) {
	if err := w.apply(ctx, "06-http-log.yaml"); err != nil {
		w.check("apply http-log", "applied", "", err)
		return
	}
	_, err := w.kubectl(ctx, "-n", "echo", "rollout", "status", "deployment/log-sink", "--timeout=180s")
	w.check("sink runs in the mesh", "Deployment available", "", err)
	mark := fmt.Sprintf("/logged-%d", time.Now().UnixNano())
	var record *sinkRecord
	err = eventually(ctx, 60*time.Second, func() error {
		if a, err := w.get(ctx, mark); err != nil || a.Status != 200 {
			return fmt.Errorf("request: %s %w", a, err)
		}
		record, err = w.sinkRecord(ctx, mark)
		return err
	})
	if err == nil {
		err = record.likeKong(w.source, mark)
	}
	w.check("sink got Kong's log object", "request, response, route, service, latencies, client_ip", record.String(), err)
	if w.meshless != "" {
		w.skip("log came over mTLS", "gateway's identity at the sink", w.meshless)
		return
	}
	if record == nil {
		return
	}
	identity := record.identity()
	err = nil
	if identity != gatewayIdentity {
		err = fmt.Errorf("want %s", gatewayIdentity)
	}
	w.check("log came over mTLS", "gateway's identity at the sink", identity, err)
}

const gatewayIdentity = "spiffe://cluster.local/ns/" + gatewayNamespace + "/sa/" + gatewayName

// sinkRecord is one request that the sink received.
type sinkRecord struct {
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Headers map[string][]string `json:"headers"`
	Body    map[string]any      `json:"body"`
}

// String says in short what the record holds.
func (r *sinkRecord) String() string {
	if r == nil {
		return "nothing"
	}
	keys := make([]string, 0, len(r.Body))
	for k := range r.Body {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return r.Method + " " + r.Path + " with " + strings.Join(keys, " ")
}

func (r *sinkRecord) likeKong(client, uri string) error {
	for _, key := range []string{"request", "response", "route", "service", "latencies", "client_ip", "started_at", "tries", "upstream_uri", "workspace"} {
		if _, ok := r.Body[key]; !ok {
			return fmt.Errorf("%s is missing", key)
		}
	}
	request, _ := r.Body["request"].(map[string]any)
	response, _ := r.Body["response"].(map[string]any)
	switch {
	case r.Method != http.MethodPost || r.Path != "/log":
		return fmt.Errorf("%s %s", r.Method, r.Path)
	case request["uri"] != uri || request["method"] != "GET":
		return fmt.Errorf("request %v", request)
	case response["status"] != 200.0:
		return fmt.Errorf("response %v", response)
	case r.Body["client_ip"] != client:
		return fmt.Errorf("client_ip %v, want %s", r.Body["client_ip"], client)
	}
	return nil
}

func (r *sinkRecord) identity() string {
	for name, values := range r.Headers {
		if strings.EqualFold(name, "X-Forwarded-Client-Cert") && len(values) > 0 {
			return uriOf(values[0])
		}
	}
	return ""
}

// uriOf returns the client's URI of an X-Forwarded-Client-Cert value.
func uriOf(xfcc string) string {
	for part := range strings.SplitSeq(xfcc, ";") {
		if uri, ok := strings.CutPrefix(part, "URI="); ok {
			return uri
		}
	}
	return ""
}

func (w *walk) sinkRecord(ctx context.Context, uri string) (*sinkRecord, error) {
	out, err := w.inPod(ctx, "echo", "deployment/http-echo-v1", "http-echo", "http://log-sink:8080/received")
	if err != nil {
		return nil, err
	}
	start := strings.Index(out, "[")
	if start < 0 {
		return nil, fmt.Errorf("sink said %q", tail(out, 100))
	}
	var records []sinkRecord
	if err := json.NewDecoder(strings.NewReader(out[start:])).Decode(&records); err != nil {
		return nil, err
	}
	for i := range records {
		if request, _ := records[i].Body["request"].(map[string]any); request["uri"] == uri {
			return &records[i], nil
		}
	}
	return nil, fmt.Errorf("no record of %s among %d", uri, len(records))
}
