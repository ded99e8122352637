// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// exampleBackends is the folder with what all examples share: the gateway's
// listeners and the backends.
const exampleBackends = "backends"

// step is one entry of an example's steps.txt, which is YAML but no manifest that
// kubectl would apply with the folder: something that its user does,
// and what he sees then.
type step struct {
	// What says what the step shows.
	What string `json:"what"`
	// Exactly one of these is there. Apply and Delete name a file of the folder,
	// Kubectl holds kubectl's arguments.
	Apply   string       `json:"apply,omitempty"`
	Delete  string       `json:"delete,omitempty"`
	Kubectl []string     `json:"kubectl,omitempty"`
	Request *stepRequest `json:"request,omitempty"`
	Query   *stepQuery   `json:"query,omitempty"`
	// What must come back: the Status of each request, the header lines ("" for
	// none), and texts that the body, the query's answer or kubectl's output holds
	// or must not hold.
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Certificate is for whom the shown certificate is.
	Certificate string   `json:"certificate,omitempty"`
	Holds       []string `json:"holds,omitempty"`
	Lacks       []string `json:"lacks,omitempty"`
	// Matches is a regular expression for the same; ADDRESS in it stands for the
	// gateway's address.
	Matches string `json:"matches,omitempty"`
	// Statuses says instead of Status how many of the requests get which one.
	Statuses map[int]int `json:"statuses,omitempty"`
	// Fails says that kubectl, or the apply, must fail with the texts of Holds.
	Fails bool `json:"fails,omitempty"`
	// Keep leaves what was applied when the example is over.
	Keep bool `json:"keep,omitempty"`
}

// stepRequest is an HTTP request to the gateway.
type stepRequest struct {
	Scheme  string            `json:"scheme,omitempty"` // http or https, default http
	Port    int               `json:"port,omitempty"`   // of the gateway's Service, default the scheme's
	Host    string            `json:"host,omitempty"`
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Count   int               `json:"count,omitempty"`
}

// stepQuery is a DNS query over UDP to the gateway.
type stepQuery struct {
	Port int    `json:"port"`
	Name string `json:"name"`
}

// kongExamples runs every folder of examples/kong: it applies what the shared
// folder holds once, and for each other folder does the steps of its steps.txt
// and takes away what they applied.
func (w *walk) kongExamples(ctx context.Context) error {
	root := filepath.Join(filepath.Dir(w.examples), "kong")
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	// The echo routes take every host, also what no example's route takes.
	if _, err := w.kubectl(ctx, "delete", "--ignore-not-found", "-f", filepath.Join(w.examples, "03-ingress.yaml")); err != nil {
		return err
	}
	if err := w.example(ctx, root, exampleBackends); err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || entry.Name() == exampleBackends {
			continue
		}
		if err := w.example(ctx, root, entry.Name()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *walk) example(ctx context.Context, root, name string) error {
	w.step = name
	folder := filepath.Join(root, name)
	steps, err := readSteps(filepath.Join(folder, "steps.txt"))
	if err != nil {
		return err
	}
	var applied []string
	for _, s := range steps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		got, err := w.do(ctx, folder, s)
		w.check(s.What, s.expectation(), got, err)
		if s.Apply != "" && !s.Fails && !s.Keep && !slices.Contains(applied, s.Apply) {
			applied = append(applied, s.Apply)
		}
	}
	if name == exampleBackends {
		// The other examples stand on it; its address is theirs, too.
		w.address, err = w.kubectl(ctx, "-n", gatewayNamespace, "get", "service", gatewayName, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		return err
	}
	for _, file := range slices.Backward(applied) {
		if _, err := w.kubectl(ctx, "delete", "--ignore-not-found", "--wait=false", "-f", filepath.Join(folder, file)); err != nil {
			w.check("take "+file+" away", "deleted", "", err)
		}
	}
	return nil
}

func readSteps(path string) ([]step, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- a file of the checkout
	if err != nil {
		return nil, err
	}
	var steps []step
	if err := yaml.UnmarshalStrict(text, &steps); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, s := range steps {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%s: step %d (%s): %w", path, i+1, s.What, err)
		}
	}
	return steps, nil
}

// check reports what a step lacks to show anything.
func (s step) check() error {
	if s.What == "" || s.actions() != 1 {
		return errors.New("want what, and one of apply, delete, kubectl, request and query")
	}
	if _, err := s.pattern(""); err != nil {
		return fmt.Errorf("matches: %w", err)
	}
	if s.Query != nil && s.Matches == "" && len(s.Holds) == 0 {
		return errors.New("a query wants matches or holds: any answer would do")
	}
	if s.Request == nil {
		if s.Status != 0 || len(s.Statuses) > 0 || len(s.Headers) > 0 || s.Certificate != "" {
			return errors.New("status, statuses, headers and certificate are a request's")
		}
		return nil
	}
	switch {
	case (s.Status == 0) == (len(s.Statuses) == 0):
		return errors.New("a request wants one of status and statuses")
	case s.Status != 0:
		return nil
	case len(s.Headers)+len(s.Holds)+len(s.Lacks) > 0 || s.Certificate+s.Matches != "":
		return errors.New("statuses are all that is looked at: take the rest away, or say status")
	}
	sum := 0
	for _, n := range s.Statuses {
		sum += n
	}
	if sum != s.Request.count() {
		return fmt.Errorf("statuses are of %d requests, count is %d", sum, s.Request.count())
	}
	return nil
}

// count is how many requests are made.
func (r *stepRequest) count() int { return max(r.Count, 1) }

// pattern returns what Matches stands for with a gateway's address.
func (s step) pattern(address string) (*regexp.Regexp, error) {
	return regexp.Compile(strings.ReplaceAll(s.Matches, "ADDRESS", regexp.QuoteMeta(address)))
}

func (s step) actions() (n int) {
	for _, there := range []bool{s.Apply != "", s.Delete != "", len(s.Kubectl) > 0, s.Request != nil, s.Query != nil} {
		if there {
			n++
		}
	}
	return n
}

// expectation says in short what the step wants to see.
func (s step) expectation() string {
	var parts []string
	switch {
	case s.Status != 0:
		parts = append(parts, fmt.Sprint(s.Status))
	case len(s.Statuses) > 0:
		parts = append(parts, fmt.Sprint(s.Statuses))
	case s.Fails:
		parts = append(parts, "refused")
	case s.Apply != "" || s.Delete != "":
		parts = append(parts, "done")
	}
	for _, text := range s.Holds {
		parts = append(parts, tail(text, 60))
	}
	if s.Matches != "" {
		parts = append(parts, s.Matches)
	}
	return strings.Join(parts, ", ")
}

// do makes one step; what comes back later than the step is waited for.
func (w *walk) do(ctx context.Context, folder string, s step) (got string, err error) {
	limit := 60 * time.Second
	switch {
	case len(s.Kubectl) > 0:
		limit = 3 * time.Minute // may wait for a rollout itself
	case s.Statuses != nil:
		limit = 0 // counts what happens once
	}
	failure := eventually(ctx, limit, func() error {
		got, err = w.try(ctx, folder, s)
		return err
	})
	return got, failure
}

func (w *walk) try(ctx context.Context, folder string, s step) (string, error) {
	switch {
	case s.Request != nil:
		return w.tryRequest(ctx, s)
	case s.Query != nil:
		answers, err := w.fetch(ctx, w.source, fmt.Sprintf("udp://%s:%d/%s", w.address, s.Query.Port, s.Query.Name))
		if err != nil {
			return "", err
		}
		if answers[0].Error != "" {
			return "", errors.New(answers[0].Error)
		}
		return answers[0].Body, s.texts(answers[0].Body, w.address)
	}
	args := s.Kubectl
	if s.Apply != "" {
		args = []string{"apply", "-f", filepath.Join(folder, s.Apply)}
	} else if s.Delete != "" {
		args = []string{"delete", "-f", filepath.Join(folder, s.Delete)}
	}
	out, err := w.kubectl(ctx, args...)
	switch {
	case s.Fails && err == nil:
		return out, errors.New("is not refused")
	case s.Fails:
		return err.Error(), s.texts(err.Error(), w.address)
	case err != nil:
		return out, err
	}
	return out, s.texts(out, w.address)
}

func (w *walk) tryRequest(ctx context.Context, s step) (string, error) {
	r := *s.Request
	scheme, port := r.Scheme, ""
	if scheme == "" {
		scheme = "http"
	}
	if r.Port != 0 {
		port = fmt.Sprintf(":%d", r.Port)
	}
	options := []string{"-count", fmt.Sprint(r.count()), "-X", r.Method, "-d", r.Body}
	if r.Host != "" {
		options = append(options, "-H", "Host: "+r.Host)
	}
	for name, value := range r.Headers {
		options = append(options, "-H", name+": "+value)
	}
	answers, err := w.fetch(ctx, w.source, scheme+"://"+w.address+port+r.Path, options...)
	if err != nil {
		return "", err
	}
	return s.answers(answers, w.address)
}

// answers says in short what came back, and what is wrong with it: no answer may
// differ from what the step wants to see.
func (s step) answers(list []answer, address string) (got string, err error) {
	if len(list) != s.Request.count() {
		return "", fmt.Errorf("%d answers to %d requests", len(list), s.Request.count())
	}
	if s.Statuses == nil {
		for _, a := range list {
			if err := s.matches(a, address); err != nil {
				return a.String(), err
			}
		}
		return list[0].String(), nil
	}
	counts := make(map[int]int)
	for _, a := range list {
		counts[a.Status]++
	}
	if !maps.Equal(counts, s.Statuses) {
		return fmt.Sprint(counts), errors.New("want " + fmt.Sprint(s.Statuses))
	}
	return fmt.Sprint(counts), nil
}

// matches says what is wrong with an answer.
func (s step) matches(a answer, address string) error {
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if a.Status != s.Status {
		return fmt.Errorf("want %d", s.Status)
	}
	if s.Certificate != "" && a.Certificate != s.Certificate {
		return fmt.Errorf("certificate is for %q, want %q", a.Certificate, s.Certificate)
	}
	for name, want := range s.Headers {
		if got := strings.Join(a.Header.Values(name), ", "); got != want {
			return fmt.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	return s.texts(a.Body, address)
}

// texts says what is wrong with a text.
func (s step) texts(text, address string) error {
	for _, want := range s.Holds {
		if !strings.Contains(text, want) {
			return fmt.Errorf("lacks %q", want)
		}
	}
	for _, bad := range s.Lacks {
		if strings.Contains(text, bad) {
			return fmt.Errorf("holds %q", bad)
		}
	}
	pattern, err := s.pattern(address)
	if err != nil {
		return err
	}
	if !pattern.MatchString(text) {
		return fmt.Errorf("does not match %q", pattern)
	}
	return nil
}
