// SPDX-License-Identifier: Apache-2.0

// Package recorded runs recorded behaviour against the gateway: each case is a
// declarative configuration, upstreams, requests, and what a client and the
// upstreams of Kong 3.9 saw of them.
package recorded

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Case is one recorded case.
type Case struct {
	// Quirk says why Kong's recorded answer need not be followed.
	Quirk string `json:"quirk"`
	// Env are the settings that the gateway is started with.
	Env    map[string]string `json:"env"`
	Config json.RawMessage   `json:"config"`
	// Refused says that the configuration must be refused, Refusal which parts
	// of it Kong objects to: a path of each, and its message.
	Refused  bool                    `json:"config_refused"`
	Refusal  []map[string]string     `json:"refusal"`
	Backends map[string]*BackendSpec `json:"backends"`
	Sinks    map[string]*SinkSpec    `json:"sinks"`
	Known    map[string]any          `json:"known"`
	// Exact makes headers that an expectation does not name a difference.
	Exact bool   `json:"exact_headers"`
	Steps []Step `json:"steps"`
}

// Field is one header line: name and value.
type Field [2]string

// AnswerSpec is what a backend answers.
type AnswerSpec struct {
	Status    *int    `json:"status"`
	Headers   []Field `json:"headers"`
	Body      *string `json:"body"`
	BodyTimes *int    `json:"body_times"`
	DelayMS   int     `json:"delay_ms"`
	// Fail is close, reset, refuse, hang or noread.
	Fail  string  `json:"fail"`
	Raw   *string `json:"raw"`
	Close bool    `json:"close"`
	Echo  bool    `json:"echo"`
}

// BackendSpec describes an upstream.
type BackendSpec struct {
	AnswerSpec
	Script []AnswerSpec           `json:"script"`
	Aside  map[string]*AnswerSpec `json:"aside"`
	TLS    *struct {
		Cert, Key, CA string
		Record        bool
	} `json:"tls"`
}

// SinkSpec describes a server that log plugins send to.
type SinkSpec struct {
	Kind string `json:"kind"`
}

// Step is one thing that happens.
type Step struct {
	Send   json.RawMessage `json:"send"`
	Expect json.RawMessage `json:"expect"`
	Sleep  int             `json:"sleep_ms"`
	Sink   string          `json:"sink"`
	// Status is a path of the Status API.
	Status string              `json:"status_get"`
	Wait   *int                `json:"wait_ms"`
	Quiet  *int                `json:"quiet_ms"`
	Grab   map[string][]string `json:"capture"`
}

// Send is a request.
type Send struct {
	Method    *string  `json:"method"`
	Target    *string  `json:"target"`
	Headers   []Field  `json:"headers"`
	Body      string   `json:"body"`
	BodyTimes *int     `json:"body_times"`
	Version   *string  `json:"version"`
	Raw       *string  `json:"raw"`
	After     string   `json:"after"`
	Repeat    *int     `json:"repeat"`
	Conn      string   `json:"conn"`
	PlainTLS  bool     `json:"plain_to_tls"`
	TLS       *SendTLS `json:"tls"`
}

// SendTLS is how a request's connection is secured.
type SendTLS struct {
	SNI         string `json:"sni"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	Certificate bool   `json:"certificate"`
}

// Read reads a case.
func Read(path string) (*Case, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Case{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// names are what stands for ports and other values that differ between runs.
type names map[string]any

// fill puts values in the place of ${name}.
func (n names) fill(raw json.RawMessage) []byte {
	out := []byte(raw)
	for name, value := range n {
		mark := "${" + name + "}"
		if port, ok := value.(int); ok {
			text := strconv.Itoa(port)
			out = bytes.ReplaceAll(out, []byte(`"`+mark+`"`), []byte(text))
			out = bytes.ReplaceAll(out, []byte(mark), []byte(text))
			continue
		}
		text, _ := json.Marshal(fmt.Sprint(value))
		out = bytes.ReplaceAll(out, []byte(mark), text[1:len(text)-1])
	}
	return out
}

// decode fills raw and reads it into v.
func (n names) decode(raw json.RawMessage, v any) error {
	if len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(n.fill(raw), v)
}

// latin returns bytes as the characters with their numbers: recorded texts
// hold one character for each byte.
func latin(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// unlatin is the way back.
func unlatin(s string) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}

func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}
