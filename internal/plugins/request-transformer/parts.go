// SPDX-License-Identifier: Apache-2.0

package requesttransformer

import (
	"mime"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/form"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/jsonobject"
)

// changeMethod sends another method. Methods without a body get the arguments
// of a form in their query.
func (t *transformer) changeMethod(x plugin.Exchange) {
	u := x.Upstream()
	u.Method = t.method
	if t.method != "GET" && t.method != "HEAD" && t.method != "TRACE" {
		return
	}
	kind, _, err := mime.ParseMediaType(x.Header().Get("Content-Type"))
	body, complete := x.Body()
	if err != nil || kind != "application/x-www-form-urlencoded" || !complete || len(body) == 0 {
		return
	}
	args := append(form.Parse(u.Query), form.Parse(string(body))...)
	u.Query, u.HasQuery = args.Sorted().Encode(), true
}

func isHost(name string) bool { return strings.EqualFold(name, "host") }

func (e *edits) applyToHeaders(x plugin.Exchange, r *rendered) {
	h := x.Header()
	for _, name := range e.remove {
		if !isHost(name) {
			h.Del(name)
		}
	}
	for _, n := range e.rename {
		renameHeader(x, n)
	}
	for i := range e.replace {
		a := &e.replace[i]
		if !isHost(a.name) {
			if h.Has(a.name) {
				h.Set(a.name, r.value(a))
			}
			continue
		}
		x.Upstream().Authority = r.value(a)
	}
	for i := range e.add {
		if a := &e.add[i]; !isHost(a.name) && !h.Has(a.name) {
			h.Add(a.name, r.value(a))
		}
	}
	for i := range e.append {
		if a := &e.append[i]; !isHost(a.name) {
			h.Add(a.name, r.value(a))
		}
	}
}

func renameHeader(x plugin.Exchange, n rename) {
	h := x.Header()
	values := h.Values(nil, n.from)
	if len(values) == 0 || isHost(n.from) {
		return
	}
	for i := range values {
		values[i] = x.Keep(values[i])
	}
	h.Del(n.from)
	if isHost(n.to) {
		x.Upstream().Authority = values[0]
		return
	}
	h.Set(n.to, values[0])
	for _, v := range values[1:] {
		h.Add(n.to, v)
	}
}

func (e *edits) applyToQuery(u *plugin.Upstream, r *rendered) {
	args := form.Parse(u.Query)
	had := len(args) > 0
	if args, _ = e.applyToArgs(args, r); had || len(args) > 0 {
		u.Query = args.Sorted().Encode()
		u.HasQuery = u.Query != ""
	}
}

// applyToArgs returns the edited arguments and whether anything was changed.
func (e *edits) applyToArgs(args form.Args, r *rendered) (form.Args, bool) {
	changed := false
	for _, name := range e.remove {
		changed = changed || args.Has(name)
		args = args.Without(name)
	}
	for _, n := range e.rename {
		values := args.Values(n.from)
		if len(values) == 0 {
			continue
		}
		changed = true
		args = args.Without(n.from).Without(n.to)
		for _, v := range values {
			v.Name = n.to
			args = append(args, v)
		}
	}
	for i := range e.replace {
		if a := &e.replace[i]; args.Has(a.name) {
			changed = true
			args = append(args.Without(a.name), form.Arg{Name: a.name, Value: r.value(a)})
		}
	}
	for i := range e.add {
		if a := &e.add[i]; !args.Has(a.name) {
			changed = true
			args = append(args, form.Arg{Name: a.name, Value: r.value(a)})
		}
	}
	for i := range e.append {
		a := &e.append[i]
		changed = true
		args = append(args, form.Arg{Name: a.name, Value: r.value(a)})
	}
	return args, changed
}

// applyToBody edits bodies of the types that Kong edits; others pass.
func (e *edits) applyToBody(x plugin.Exchange, r *rendered) {
	data, complete := x.Body()
	contentType := x.Header().Get("Content-Type")
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || !complete {
		return
	}
	switch kind {
	case "application/json":
		if object, ok := parseObject(data); ok && e.applyToObject(object, r) {
			x.SetBody(object.Encode())
		}
	case "application/x-www-form-urlencoded":
		if args, changed := e.applyToArgs(form.Parse(string(data)), r); changed {
			x.SetBody([]byte(args.Encode()))
		}
	case "multipart/form-data":
		if parts, ok := form.ParseMultipart(contentType, data); ok && e.applyToMultipart(parts, r) {
			x.SetBody(parts.Encode())
		}
	}
}

// parseObject takes an empty body for an empty object.
func parseObject(data []byte) (*jsonobject.Object, bool) {
	if len(data) == 0 {
		return &jsonobject.Object{}, true
	}
	return jsonobject.Parse(data)
}

func (e *edits) applyToObject(o *jsonobject.Object, r *rendered) (changed bool) {
	for _, name := range e.remove {
		changed = o.Delete(name) || changed
	}
	for _, n := range e.rename {
		if value := o.Get(n.from); value != nil {
			o.Delete(n.from)
			o.Set(n.to, value)
			changed = true
		}
	}
	for i := range e.replace {
		if a := &e.replace[i]; o.Has(a.name) {
			o.Set(a.name, jsonobject.String(r.value(a)))
			changed = true
		}
	}
	for i := range e.add {
		if a := &e.add[i]; !o.Has(a.name) {
			o.Set(a.name, jsonobject.String(r.value(a)))
			changed = true
		}
	}
	for i := range e.append {
		a := &e.append[i]
		changed = o.Append(a.name, jsonobject.String(r.value(a))) || changed
	}
	return changed
}

// applyToMultipart edits parts; appending to them is not possible.
func (e *edits) applyToMultipart(m *form.Multipart, r *rendered) (changed bool) {
	for _, name := range e.remove {
		changed = changed || m.Has(name)
		m.Delete(name)
	}
	for _, n := range e.rename {
		if values := m.Values(n.from); len(values) > 0 {
			m.Delete(n.from)
			m.Set(n.to, values[0])
			changed = true
		}
	}
	for i := range e.replace {
		if a := &e.replace[i]; m.Has(a.name) {
			m.Set(a.name, r.value(a))
			changed = true
		}
	}
	for i := range e.add {
		if a := &e.add[i]; !m.Has(a.name) {
			m.Set(a.name, r.value(a))
			changed = true
		}
	}
	return changed
}
