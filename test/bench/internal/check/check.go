// SPDX-License-Identifier: Apache-2.0

// Package check decides whether a measurement counts: whether every request of
// the client arrived at the backend once, and heads arrived whole at both ends.
package check

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kong/kong-istio-gateway/test/bench/internal/agent"
	"github.com/kong/kong-istio-gateway/test/bench/internal/peer"
)

// Expectation is what the proxy has to do with a request.
type Expectation struct {
	// Headers are the names that the proxy uses.
	Headers peer.Headers
	Site    *peer.Site
	Load    *agent.Load
	// Refused says that the proxy answers by itself, so that nothing arrives.
	Refused bool
}

// Result returns what is wrong with a result, nil if it counts.
func (e *Expectation) Result(r *agent.Result) error {
	if r.Failure != "" {
		return errors.New(r.Failure)
	}
	if r.Measured == 0 {
		return errors.New("no request was answered in the measured window")
	}
	arrived := r.Sent
	if e.Refused {
		arrived = 0
	}
	if r.Answered != r.Sent || r.Arrived != arrived {
		return fmt.Errorf("the client sent %d requests and got %d answers, %d arrived at the backend, want %d", r.Sent, r.Answered, r.Arrived, arrived)
	}
	if want := arrived * int64(e.Load.Requests[0].Body); r.ArrivedBytes != want {
		return fmt.Errorf("%d bytes of bodies arrived at the backend, want %d", r.ArrivedBytes, want)
	}
	if e.Refused {
		return nil
	}
	return e.heads(r)
}

func (e *Expectation) heads(r *agent.Result) error {
	if len(r.Requests) == 0 || len(r.Answers) == 0 {
		return errors.New("no heads were kept to check")
	}
	ids := map[string]bool{}
	for _, text := range r.Requests {
		id, err := e.request(text)
		if err != nil {
			return fmt.Errorf("%w; the backend got:\n%s", err, text)
		}
		if ids[id] && !e.Headers.Fixed {
			return fmt.Errorf("request id %s arrived at the backend twice", id)
		}
		ids[id] = true
	}
	for _, text := range r.Answers {
		if err := e.answer(parse(text)); err != nil {
			return fmt.Errorf("%w; the client got:\n%s", err, text)
		}
	}
	// The first heads are of the same exchange.
	sent, got := parse(r.Requests[0]).get(e.Headers.RequestID), parse(r.Answers[0]).get(e.Headers.RequestID)
	if sent != got {
		return fmt.Errorf("the backend got request id %q, the client %q", sent, got)
	}
	return nil
}

// request checks a head that arrived at the backend and returns its id.
func (e *Expectation) request(text string) (string, error) {
	h := parse(text)
	request, err := e.sent(h)
	if err != nil {
		return "", err
	}
	scheme := "https"
	if e.Load.Protocol == agent.HTTP1 || e.Load.Protocol == agent.H2C {
		scheme = "http"
	}
	for name, want := range map[string]string{
		"host": request.Host, "user-agent": "bench", "accept": "*/*", "x-real-ip": "127.0.0.1", "x-forwarded-for": "127.0.0.1",
		"x-forwarded-proto": scheme, "x-forwarded-host": request.Host, "x-forwarded-path": request.Path,
	} {
		if got := h.get(name); got != want {
			return "", fmt.Errorf("%s is %q at the backend, want %q", name, got, want)
		}
	}
	if err := h.present("x-forwarded-port", "via", e.Headers.RequestID); err != nil {
		return "", err
	}
	for _, sent := range request.Header {
		if got := h.get(strings.ToLower(sent.Name)); got != sent.Value {
			return "", fmt.Errorf("%s is %q at the backend, want %q as it was sent", sent.Name, got, sent.Value)
		}
	}
	if e.Site.KeyAuth {
		if got := h.get("x-consumer-username"); got != consumerOf(h.get("apikey")) {
			return "", fmt.Errorf("x-consumer-username is %q for apikey %q", got, h.get("apikey"))
		}
	}
	if e.Site.Correlation {
		if err := h.present("kong-request-id"); err != nil {
			return "", err
		}
	}
	return h.get(e.Headers.RequestID), nil
}

// sent finds the request that arrived among those that are sent.
func (e *Expectation) sent(h head) (*agent.Request, error) {
	fields := strings.Fields(h.line)
	if len(fields) != 3 {
		return nil, fmt.Errorf("request line %q", h.line)
	}
	for i := range e.Load.Requests {
		r := &e.Load.Requests[i]
		if r.Path == fields[1] && r.Host == h.get("host") && (!e.Site.KeyAuth || apikey(r) == h.get("apikey")) {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%s of host %s was not sent", h.line, h.get("host"))
}

func apikey(r *agent.Request) string {
	for _, h := range r.Header {
		if h.Name == "apikey" {
			return h.Value
		}
	}
	return ""
}

func consumerOf(key string) string {
	var i int
	if _, err := fmt.Sscanf(key, "key-%d-", &i); err != nil {
		return "no consumer"
	}
	return peer.ConsumerName(i)
}

// answer checks a head that arrived at the client.
func (e *Expectation) answer(h head) error {
	if err := h.present("server", "date", "content-type", "via", e.Headers.RequestID, e.Headers.UpstreamLatency, e.Headers.ProxyLatency); err != nil {
		return err
	}
	if e.Site.Correlation {
		return h.present("kong-request-id")
	}
	return nil
}

// head is a parsed head of HTTP/1.1, or a list of an HTTP/2 head's fields.
type head struct {
	line   string
	fields map[string]string
}

func parse(text string) head {
	h := head{fields: map[string]string{}}
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok || strings.Contains(name, " ") {
			if h.line == "" {
				h.line = line
			}
			continue
		}
		h.fields[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	return h
}

func (h head) get(name string) string { return h.fields[name] }

func (h head) present(names ...string) error {
	for _, name := range names {
		if h.fields[name] == "" {
			return fmt.Errorf("header %s is missing", name)
		}
	}
	return nil
}
