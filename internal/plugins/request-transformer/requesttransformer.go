// SPDX-License-Identifier: Apache-2.0

// Package requesttransformer changes requests on their way to the upstream
// (https://docs.konghq.com/hub/kong-inc/request-transformer/). It keeps no
// state.
package requesttransformer

import (
	"log/slog"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/auth"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/template"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 801, Configure: configure}

const (
	name = "request-transformer"
	// bodyLimit bounds the request bodies that can be transformed.
	bodyLimit = 32 << 20
)

type lists struct {
	URI         string   `json:"uri"`
	Headers     []string `json:"headers"`
	Querystring []string `json:"querystring"`
	Body        []string `json:"body"`
}

type config struct {
	HTTPMethod string `json:"http_method"`
	Remove     lists  `json:"remove"`
	Rename     lists  `json:"rename"`
	Replace    lists  `json:"replace"`
	Add        lists  `json:"add"`
	Append     lists  `json:"append"`
}

// transformer is one instance.
type transformer struct {
	method  string
	uri     *template.Template
	headers edits
	query   edits
	body    edits
	log     *slog.Logger
}

// edits are the operations on one part of the request, in their order.
type edits struct {
	remove               []string
	rename               []rename
	replace, add, append []assignment
}

type rename struct{ from, to string }

// assignment gives a name a value.
type assignment struct {
	name  string
	value template.Template
	plain bool
	text  string
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	var conf config
	if err := schema.Decode(c.Values, &conf); err != nil {
		return nil, err
	}
	t := &transformer{method: conf.HTTPMethod, log: c.Host.Logger(name)}
	if conf.Replace.URI != "" {
		uri := template.Parse(conf.Replace.URI)
		t.uri = &uri
	}
	part := func(of func(*lists) []string) edits {
		return edits{
			remove: of(&conf.Remove), rename: renames(of(&conf.Rename)),
			replace: assignments(of(&conf.Replace)), add: assignments(of(&conf.Add)), append: assignments(of(&conf.Append)),
		}
	}
	t.headers = part(func(l *lists) []string { return l.Headers })
	t.query = part(func(l *lists) []string { return l.Querystring })
	t.body = part(func(l *lists) []string { return l.Body })
	phases := &plugin.Phases{Access: t.access}
	if !t.body.empty() {
		phases.Needs.RequestBody = bodyLimit
	}
	return phases, nil
}

func renames(entries []string) []rename {
	var out []rename
	for _, e := range entries {
		from, to := split(e)
		out = append(out, rename{from, to})
	}
	return out
}

// assignments leaves out entries without a value: they do nothing.
func assignments(entries []string) []assignment {
	var out []assignment
	for _, e := range entries {
		name, value := split(e)
		if value == "" {
			continue
		}
		a := assignment{name: name, value: template.Parse(value)}
		a.text, a.plain = a.value.Static()
		out = append(out, a)
	}
	return out
}

func split(entry string) (name, value string) {
	name, value, _ = strings.Cut(entry, ":")
	return name, strings.TrimLeft(value, ":")
}

func (e *edits) empty() bool {
	return len(e.remove)+len(e.rename)+len(e.replace)+len(e.add)+len(e.append) == 0
}

func (t *transformer) access(x plugin.Exchange) {
	plan, err := t.render(x)
	if err != nil {
		t.log.Error("a template cannot be rendered; see config", "error", err)
		x.Exit(auth.Unexpected)
		return
	}
	u := x.Upstream()
	if t.uri != nil {
		u.Path = plan.uri
	}
	if t.method != "" {
		t.changeMethod(x)
	}
	t.headers.applyToHeaders(x, plan)
	if !t.body.empty() {
		t.body.applyToBody(x, plan)
	}
	if !t.query.empty() {
		t.query.applyToQuery(u, plan)
	}
}

// rendered holds the values of a request's templates: they show the request as
// it came in, whatever is changed first.
type rendered struct {
	uri    string
	values map[*assignment]string
}

func (r *rendered) value(a *assignment) string {
	if a.plain {
		return a.text
	}
	return r.values[a]
}

func (t *transformer) render(x plugin.Exchange) (*rendered, error) {
	r := &rendered{}
	scope := template.Request(x)
	if t.uri != nil {
		path, err := t.uri.Render(scope)
		if err != nil {
			return nil, err
		}
		r.uri = escapePath(path)
	}
	for _, e := range []*edits{&t.headers, &t.query, &t.body} {
		for _, list := range [][]assignment{e.replace, e.add, e.append} {
			for i := range list {
				if list[i].plain {
					continue
				}
				value, err := list[i].value.Render(scope)
				if err != nil {
					return nil, err
				}
				if r.values == nil {
					r.values = map[*assignment]string{}
				}
				r.values[&list[i]] = x.Keep(value)
			}
		}
	}
	return r, nil
}

const hex = "0123456789ABCDEF"

// escapePath encodes what may not stand in a path. Percent signs stay, so that
// what is encoded already is not encoded twice.
func escapePath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}?#", c) >= 0 {
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
