// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/dlclark/regexp2"

	"github.com/kong/kong-istio-gateway/internal/dataplane/gateway"
	"github.com/kong/kong-istio-gateway/internal/dataplane/metrics"
	"github.com/kong/kong-istio-gateway/internal/dataplane/status"
	"github.com/kong/kong-istio-gateway/internal/plugins/prometheus"
)

// nodeStatus is the Status API of a gateway, with the metrics that cmd/proxy
// has.
type nodeStatus struct {
	server *status.Server
	client *client
	done   chan struct{}
}

func startStatus(ctx context.Context, g *gateway.Gateway) (*nodeStatus, error) {
	counted := prometheus.Of(g.Host)
	exposed, err := metrics.New(metrics.Node{
		Gateway: g, ID: "00000000-0000-4000-8000-000000000000", Version: "recorded", Plugin: counted, UpstreamHealth: counted.UpstreamHealth,
	})
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &nodeStatus{
		server: status.New(status.Facts{
			Ready: func() error { return nil }, Describe: func(status.Bytes) any { return map[string]any{} }, Metrics: exposed,
		}),
		client: &client{plain: l.Addr().String(), kept: map[string]*clientConn{}},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // it ends with close
	}()
	return s, nil
}

func (s *nodeStatus) close() {
	s.client.close()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	_ = s.server.Close(ctx)
	<-s.done
}

// statusStep asks the Status API. Headers that the expectation does not name
// may be there: formats are negotiated, which Vary tells.
func (r *run) statusStep(s *Step, where string) ([]string, error) {
	var want map[string]any
	if err := json.Unmarshal(s.Expect, &want); err != nil {
		return nil, err
	}
	got, _, err := r.status.client.exchange(&Send{Target: &s.Status}, r.names)
	if err != nil {
		return nil, err
	}
	return compare(want, got, where+" "+s.Status, false), nil
}

// patternTime bounds one search, on a busy machine, too: patterns look ahead, which takes an engine
// that goes back.
const patternTime = patience

// linesDiffer compares a body's lines with patterns: "lines" must each match
// some whole line, "absent" none.
func linesDiffer(want map[string]any, body, where string) (out []string) {
	lines := strings.Split(body, "\n")
	for kind, wanted := range map[string]bool{"lines": true, "absent": false} {
		patterns, _ := want[kind].([]any)
		for _, p := range patterns {
			line, found, err := matching(lines, fmt.Sprint(p))
			switch {
			case err != nil:
				out = append(out, fmt.Sprintf("%s: %v", where, err))
			case wanted && !found:
				out = append(out, fmt.Sprintf("%s: no line like %v", where, p))
			case !wanted && found:
				out = append(out, fmt.Sprintf("%s: unwanted line %s", where, line))
			}
		}
	}
	return out
}

// matching returns the first line that a pattern matches from end to end.
func matching(lines []string, pattern string) (line string, found bool, err error) {
	expression, err := regexp2.Compile(`^(?:`+pattern+`)\z`, regexp2.None)
	if err != nil {
		return "", false, err
	}
	expression.MatchTimeout = patternTime
	for _, l := range lines {
		if found, err = expression.MatchString(l); found || err != nil {
			return l, found, err
		}
	}
	return "", false, nil
}
