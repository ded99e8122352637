// SPDX-License-Identifier: Apache-2.0

// Package responsetransformer changes answers on their way to the client
// (https://docs.konghq.com/hub/kong-inc/response-transformer/). It keeps no
// state.
package responsetransformer

import (
	"encoding/json"
	"mime"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/jsonobject"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "response-transformer", Priority: 800, Configure: configure}

// bodyLimit bounds the JSON answers that can be transformed.
const bodyLimit = 8 << 20

var isJSON = plugin.NewSlot("response-transformer: JSON")

type lists struct {
	Headers   []string `json:"headers"`
	JSON      []string `json:"json"`
	JSONTypes []string `json:"json_types"`
}

type config struct {
	Remove  lists `json:"remove"`
	Rename  lists `json:"rename"`
	Replace lists `json:"replace"`
	Add     lists `json:"add"`
	Append  lists `json:"append"`
}

// transformer is one instance.
type transformer struct {
	headers headerEdits
	json    jsonEdits
}

type headerEdits struct {
	remove, rename, replace, add, append []pair
}

type pair struct{ name, value string }

type jsonEdits struct {
	remove               []string
	rename               []pair
	replace, add, append []member
}

// member gives a name a JSON value.
type member struct {
	name  string
	value json.RawMessage
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	var conf config
	if err := schema.Decode(c.Values, &conf); err != nil {
		return nil, err
	}
	t := &transformer{
		headers: headerEdits{
			remove: pairs(conf.Remove.Headers), rename: pairs(conf.Rename.Headers), replace: values(conf.Replace.Headers),
			add: values(conf.Add.Headers), append: values(conf.Append.Headers),
		},
		json: jsonEdits{
			remove: conf.Remove.JSON, rename: pairs(conf.Rename.JSON), replace: members(&conf.Replace),
			add: members(&conf.Add), append: members(&conf.Append),
		},
	}
	phases := &plugin.Phases{HeaderFilter: t.headerFilter}
	if !t.json.empty() {
		phases.BodyFilter = t.bodyFilter
		phases.Needs.ResponseBody = bodyLimit
	}
	return phases, nil
}

func pairs(entries []string) []pair {
	var out []pair
	for _, e := range entries {
		name, value, _ := strings.Cut(e, ":")
		out = append(out, pair{name, value})
	}
	return out
}

// values leaves out entries without a value: they do nothing.
func values(entries []string) []pair {
	var out []pair
	for _, p := range pairs(entries) {
		if p.value != "" {
			out = append(out, p)
		}
	}
	return out
}

// members pairs entries with the types at the same position. A value that is
// not of its type is left out.
func members(l *lists) []member {
	var out []member
	for i, p := range pairs(l.JSON) {
		if p.value == "" {
			continue
		}
		kind := "string"
		if i < len(l.JSONTypes) {
			kind = l.JSONTypes[i]
		}
		if value, ok := typed(p.value, kind); ok {
			out = append(out, member{p.name, value})
		}
	}
	return out
}

func typed(value, kind string) (json.RawMessage, bool) {
	switch kind {
	case "boolean":
		return json.RawMessage(strconv.FormatBool(value == "true")), true
	case "number":
		if json.Valid([]byte(value)) {
			if _, err := strconv.ParseFloat(value, 64); err == nil {
				return json.RawMessage(value), true
			}
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || n-n != 0 { // JSON has neither infinities nor NaN
			return nil, false
		}
		return strconv.AppendFloat(nil, n, 'g', 14, 64), true
	default:
		return jsonobject.String(value), true
	}
}

func (e *jsonEdits) empty() bool {
	return len(e.remove)+len(e.rename)+len(e.replace)+len(e.add)+len(e.append) == 0
}

func (t *transformer) headerFilter(x plugin.Exchange) {
	h := x.Response().Header
	transforms := !t.json.empty() && jsonType(h)
	t.headers.apply(h)
	if !t.json.empty() && (transforms || jsonType(h)) {
		x.SetValue(isJSON, true)
		h.Del("Content-Length")
	}
}

func jsonType(h plugin.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// apply edits the headers. Like Kong it judges what is present by the headers
// from before the first edit.
func (e *headerEdits) apply(h plugin.Header) {
	var room [16]bool
	present := room[:0]
	for _, list := range [][]pair{e.replace, e.add} {
		for _, p := range list {
			present = append(present, h.Has(p.name))
		}
	}
	moved := make([][]string, len(e.rename))
	for i, p := range e.rename {
		moved[i] = h.Values(nil, p.name)
	}
	for _, p := range e.remove {
		h.Del(p.name)
	}
	for i, p := range e.rename {
		for j, v := range moved[i] {
			if j == 0 {
				h.Del(p.name)
				h.Set(p.value, v)
				continue
			}
			h.Add(p.value, v)
		}
	}
	for i, p := range e.replace {
		if present[i] {
			h.Set(p.name, p.value)
		}
	}
	for i, p := range e.add {
		if !present[len(e.replace)+i] {
			h.Set(p.name, p.value)
		}
	}
	for _, p := range e.append {
		h.Add(p.name, p.value)
	}
}
