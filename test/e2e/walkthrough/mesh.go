// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// meshRow is a row of step 7 that needs sidecars.
type meshRow struct {
	name, expected string
	run            func(context.Context) (got string, err error)
}

// mesh is step 7: STRICT holds, identities and addresses are right, and the
// backend's own traffic rules work behind the gateway.
func (w *walk) mesh(ctx context.Context) {
	// The routes as they were, without the plugins of earlier steps.
	if err := w.apply(ctx, "03-ingress.yaml"); err != nil {
		w.check("apply the Ingresses", "applied", "", err)
		return
	}
	echo, err := w.expectWithout(ctx, "/", "X-RateLimit-Limit-Minute")
	w.check("client's Host arrives", "Host: api.example.com", line(echo.Body, "Host"), wantLine(err, echo.Body, "Host", "api.example.com"))
	w.check("client's address is real", "X-Real-Ip: "+w.source, line(echo.Body, "X-Real-Ip"), wantLine(err, echo.Body, "X-Real-Ip", w.source))
	for _, r := range append([]meshRow{
		{"backend saw the gateway's identity", gatewayIdentity, func(context.Context) (string, error) {
			got := uriOf(line(echo.Body, "X-Forwarded-Client-Cert"))
			if got != gatewayIdentity {
				return got, errors.New("another identity")
			}
			return got, err
		}},
		{"pod outside the mesh is refused", "connection refused by STRICT, gateway reachable", w.outsider},
		{"VirtualService: fault on one path", "418 on /broken, 200 elsewhere", w.fault},
		{"VirtualService: 20 % to v2", "10 to 32 % of 200 requests", w.shift},
		{"VirtualService: mirroring to v2", "v2's sidecar logs the request", w.mirror},
		{"DestinationRule: circuit breaker", "some 503, some 200 of 20 at once", w.breaker},
		{"traffic rules removed", "20 requests at once pass", w.withoutRules},
	}, w.scopeRows()...) {
		if w.meshless != "" {
			w.skip(r.name, r.expected, w.meshless)
			continue
		}
		got, err := r.run(ctx)
		w.check(r.name, r.expected, got, err)
	}
}

func (w *walk) withoutRules(ctx context.Context) (string, error) {
	_, err := w.kubectl(ctx, "-n", "echo", "delete", "virtualservices,destinationrules", "http-echo", "--ignore-not-found")
	if err != nil {
		return "", err
	}
	// The breaker is closed once as many requests at a time all pass again.
	return "20 of 20 at once", eventually(ctx, 30*time.Second, func() error {
		answers, err := w.fetch(ctx, w.source, w.url("/?delay=100ms"), "-count", "20", "-parallel", "20", "-H", clientHost)
		if err != nil {
			return err
		}
		for _, a := range answers {
			if a.Status != 200 {
				return fmt.Errorf("an answer was %s", a)
			}
		}
		return nil
	})
}

// expectWithout repeats a request until it is answered without a header.
func (w *walk) expectWithout(ctx context.Context, path, header string) (answer, error) {
	var last answer
	err := eventually(ctx, 45*time.Second, func() error {
		a, err := w.get(ctx, path)
		last = a
		if err == nil && (a.Status != 200 || a.Header.Get(header) != "") {
			err = fmt.Errorf("want 200 without %s", header)
		}
		return err
	})
	return last, err
}

// line returns the value of a header that the echo server wrote back.
func line(body, name string) string {
	for l := range strings.Lines(body) {
		if key, value, ok := strings.Cut(l, ":"); ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func wantLine(err error, body, name, want string) error {
	if err == nil && line(body, name) != want {
		err = fmt.Errorf("want %s", want)
	}
	return err
}

func (w *walk) outsider(ctx context.Context) (string, error) {
	if err := w.apply(ctx, "07-outside-pod.yaml"); err != nil {
		return "", err
	}
	if _, err := w.kubectl(ctx, "-n", "default", "wait", "pod/outsider", "--for=condition=Ready", "--timeout=60s"); err != nil {
		return "", err
	}
	if out, err := w.inPod(ctx, "default", "outsider", "http-echo", "http://"+gatewayName+"."+gatewayNamespace+"/v2"); err != nil || !strings.Contains(out, "200") {
		return tail(out, 100), fmt.Errorf("the outsider cannot even reach the gateway: %w", err)
	}
	out, err := w.inPod(ctx, "default", "outsider", "http-echo", "http://http-echo.echo:8080/")
	if err == nil {
		return tail(out, 100), errors.New("STRICT let it in")
	}
	if !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "EOF") {
		return "", err
	}
	return "connection reset", nil
}

func (w *walk) fault(ctx context.Context) (string, error) {
	if err := w.apply(ctx, "08-virtual-service-fault.yaml"); err != nil {
		return "", err
	}
	a, err := w.expect(ctx, "/broken", 418, "fault filter abort")
	if err != nil {
		return a.String(), err
	}
	b, err := w.expect(ctx, "/", 200, "one says OK")
	return fmt.Sprintf("%s; %d", a, b.Status), err
}

func (w *walk) shift(ctx context.Context) (string, error) {
	if err := w.apply(ctx, "09-virtual-service-shift.yaml"); err != nil {
		return "", err
	}
	var got string
	err := eventually(ctx, 45*time.Second, func() error {
		answers, err := w.fetch(ctx, w.source, w.url("/"), "-count", "200", "-parallel", "4", "-H", clientHost)
		if err != nil {
			return err
		}
		one, two := 0, 0
		for _, a := range answers {
			switch {
			case strings.Contains(a.Body, "one says OK"):
				one++
			case strings.Contains(a.Body, "two says OK"):
				two++
			}
		}
		got = fmt.Sprintf("%d one, %d two", one, two)
		if one+two != len(answers) || two < 20 || two > 64 {
			return errors.New("not a fifth")
		}
		return nil
	})
	return got, err
}

func (w *walk) mirror(ctx context.Context) (string, error) {
	if err := w.apply(ctx, "10-virtual-service-mirror.yaml"); err != nil {
		return "", err
	}
	mark := fmt.Sprintf("/mirrored-%d", time.Now().UnixNano())
	err := eventually(ctx, 45*time.Second, func() error {
		if a, err := w.get(ctx, mark); err != nil || !strings.Contains(a.Body, "one says OK") {
			return fmt.Errorf("request: %s %w", a, err)
		}
		out, err := w.kubectl(ctx, "-n", "echo", "logs", "deployment/http-echo-v2", "-c", "istio-proxy", "--tail=200")
		if err == nil && !strings.Contains(out, mark) {
			err = errors.New("v2 did not see the copy")
		}
		return err
	})
	return "v2 saw " + mark, err
}

func (w *walk) breaker(ctx context.Context) (string, error) {
	if _, err := w.kubectl(ctx, "-n", "echo", "delete", "virtualservice", "http-echo", "--ignore-not-found"); err != nil {
		return "", err
	}
	if err := w.apply(ctx, "11-circuit-breaker.yaml"); err != nil {
		return "", err
	}
	var got string
	err := eventually(ctx, 45*time.Second, func() error {
		answers, err := w.fetch(ctx, w.source, w.url("/?delay=500ms"), "-count", "20", "-parallel", "20", "-H", clientHost)
		if err != nil {
			return err
		}
		count := map[int]int{}
		for _, a := range answers {
			count[a.Status]++
		}
		got = fmt.Sprint(count)
		if count[200] == 0 || count[503] == 0 || count[200]+count[503] != len(answers) {
			return errors.New("the breaker did not open")
		}
		return nil
	})
	return got, err
}
