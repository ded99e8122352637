// SPDX-License-Identifier: Apache-2.0

package responsetransformer

import (
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/jsonobject"
)

func (t *transformer) bodyFilter(x plugin.Exchange, body []byte, _ bool) []byte {
	if x.Value(isJSON) == nil {
		return body
	}
	object, ok := jsonobject.Parse(body)
	if !ok || !t.json.apply(object) {
		return body
	}
	return object.Encode()
}

func (e *jsonEdits) apply(o *jsonobject.Object) (changed bool) {
	for _, name := range e.remove {
		changed = o.Delete(name) || changed
	}
	for _, p := range e.rename {
		if value := o.Get(p.name); value != nil {
			o.Delete(p.name)
			o.Set(p.value, value)
			changed = true
		}
	}
	for _, m := range e.replace {
		if truthy(o, m.name) {
			o.Set(m.name, m.value)
			changed = true
		}
	}
	for _, m := range e.add {
		if !truthy(o, m.name) {
			o.Set(m.name, m.value)
			changed = true
		}
	}
	for _, m := range e.append {
		changed = o.Append(m.name, m.value) || changed
	}
	return changed
}

// truthy reports whether a member is there as Lua sees it: false is not.
func truthy(o *jsonobject.Object, name string) bool {
	value := o.Get(name)
	return value != nil && string(value) != "false"
}
