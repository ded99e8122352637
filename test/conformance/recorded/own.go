// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// Own is what the gateway itself says to a case whose recorded answer it does
// not follow, as it came out of a plain run and was reviewed.
type Own struct {
	// Accepted says that a configuration which Kong refuses is served.
	Accepted bool `json:"accepted,omitempty"`
	// Expect is what each step comes to.
	Expect []map[string]any `json:"expect,omitempty"`
}

// ownDir holds an Own by the name of each case.
const ownDir = "testdata/ours"

func ownPath(name string) string { return filepath.Join(ownDir, filepath.FromSlash(name)+".json") }

// ReadOwn reads what the gateway says to the case with this name, nil if there
// is nothing.
func ReadOwn(name string) (*Own, error) {
	data, err := os.ReadFile(ownPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o := &Own{}
	if err := json.Unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("%s: %w", ownPath(name), err)
	}
	return o, nil
}

// write keeps o under the name of its case; nil takes away what is there.
func (o *Own) write(name string) error {
	path := ownPath(name)
	if o == nil {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(o); err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, out.Bytes(), 0o600))
}

// instead returns the case with o in the place of what was recorded. No other
// header may be there then.
func (o *Own) instead(c *Case) (*Case, error) {
	out := *c
	out.Exact = true
	out.Refused = c.Refused && !o.Accepted
	if len(o.Expect) != len(c.Steps) {
		return nil, fmt.Errorf("has %d steps, our own answers are %d", len(c.Steps), len(o.Expect))
	}
	out.Steps = make([]Step, len(c.Steps))
	for i, s := range c.Steps {
		expect, err := json.Marshal(o.Expect[i])
		if err != nil {
			return nil, err
		}
		s.Expect = expect
		out.Steps[i] = s
	}
	return &out, nil
}

// observe makes what was seen of a step an expectation: all of it but times,
// and of an exchange without an answer the reason.
func (r *run) observe(got result, calls []call) {
	out := expectation(got)
	if got["status"] == 0.0 {
		delete(out, "body")
	}
	upstream := []any{}
	for i := range calls {
		seen := expectation(r.seen(&calls[i]))
		seen["backend"] = calls[i].backend
		upstream = append(upstream, seen)
	}
	out["upstream"] = upstream
	r.observed = append(r.observed, out)
}

// longBody is how many bytes of a body are kept as they are.
const longBody = 2048

func expectation(got result) map[string]any {
	out := maps.Clone(map[string]any(got))
	maps.DeleteFunc(out, func(_ string, v any) bool {
		switch v := v.(type) {
		case map[string]any:
			return len(v) == 0
		case []any:
			return len(v) == 0
		}
		return false
	})
	if headers, ok := got["headers"].(map[string]any); ok {
		headers = maps.Clone(headers)
		delete(headers, "date")
		out["headers"] = headers
	}
	if body, _ := got["body"].(string); len(body) > longBody {
		out["body"] = fmt.Sprintf("sha256:%x:%d", sha256.Sum256(unlatin(body)), len(unlatin(body)))
	}
	return out
}
