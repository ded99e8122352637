// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Configure builds an instance as the data plane does: the sparse config is
// checked and completed by the schema first. The test fails if that fails.
func Configure(t testing.TB, r plugin.Registration, s entity.PluginSchema, host plugin.Host, p *entity.Plugin) *plugin.Phases {
	t.Helper()
	p.Name = r.Name
	values, violations := s.Config.CompleteChecked(p.Config)
	if len(violations) > 0 {
		t.Fatalf("%s: config.%s: %s", r.Name, violations[0].Path, violations[0].Message)
	}
	phases, err := r.Configure(plugin.Config{Plugin: p, Values: values, Host: host})
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
	if phases.Close != nil {
		t.Cleanup(phases.Close)
	}
	return phases
}

// Answer is what an upstream says in Serve.
type Answer struct {
	Status int
	Header []string // name, value pairs
	Chunks []string // of the body
}

// Serve runs an exchange through the phases of instances, in their order, and
// returns the body that reaches the client. An instance's Exit takes the place
// of the upstream's answer; an Exit with a Message has that as its body.
func Serve(x *Exchange, upstream Answer, instances ...*plugin.Phases) string {
	for _, p := range instances {
		if p.Access != nil && !x.Exited() {
			p.Access(x)
		}
	}
	x.Answer.Status, x.Answer.Source, x.AnswerHeader = upstream.Status, plugin.SourceUpstream, NewHeader(upstream.Header...)
	chunks := upstream.Chunks
	if x.Exited() {
		chunks = x.adoptReply()
	}
	return x.respond(chunks, instances)
}

func (x *Exchange) adoptReply() []string {
	r := x.Reply
	x.Answer.Status, x.Answer.Source, x.AnswerHeader = r.Status, plugin.SourceExit, &Header{Fields: r.Header}
	if r.Proxied {
		x.Answer.Source = plugin.SourceUpstream
	}
	if r.Body == nil {
		return []string{r.Message}
	}
	return []string{string(r.Body)}
}

func (x *Exchange) respond(chunks []string, instances []*plugin.Phases) string {
	whole := false
	for _, p := range instances {
		whole = whole || p.Needs.ResponseBody > 0 || p.Response != nil
	}
	if whole {
		chunks = []string{join(chunks)}
		x.Answer.Body = []byte(chunks[0])
	}
	x.Response()
	for _, p := range instances {
		if p.Response != nil && !x.Exited() {
			p.Response(x)
			chunks = []string{string(x.Answer.Body)}
		}
	}
	for _, p := range instances {
		if p.HeaderFilter != nil {
			p.HeaderFilter(x)
		}
	}
	body := ""
	for i := range max(len(chunks), 1) {
		var chunk []byte
		if i < len(chunks) {
			chunk = []byte(chunks[i])
		}
		for _, p := range instances {
			if p.BodyFilter != nil {
				chunk = p.BodyFilter(x, chunk, i >= len(chunks)-1)
			}
		}
		body += string(chunk)
	}
	for _, p := range instances {
		if p.Log != nil {
			p.Log(x)
		}
	}
	return body
}

func join(chunks []string) string {
	out := ""
	for _, c := range chunks {
		out += c
	}
	return out
}
