// SPDX-License-Identifier: Apache-2.0

package keyauth

import (
	"encoding/json"
	"mime"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/form"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/jsonobject"
)

// bodyKeys is a request body that may hold keys: at most one of its kinds is
// set, none for a body of another type or one that cannot be read.
type bodyKeys struct {
	form      form.Args
	object    *jsonobject.Object
	multipart *form.Multipart
}

func parseBody(x plugin.Exchange) (b bodyKeys) {
	data, complete := x.Body()
	contentType := x.Header().Get("Content-Type")
	kind, _, err := mime.ParseMediaType(contentType)
	if !complete || err != nil {
		return b
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		b.form = form.Parse(string(data))
	case "application/json":
		b.object, _ = jsonobject.Parse(data)
	case "multipart/form-data":
		b.multipart, _ = form.ParseMultipart(contentType, data)
	}
	return b
}

func (b bodyKeys) values(name string) []string {
	switch {
	case b.form != nil:
		var out []string
		for _, a := range b.form.Values(name) {
			out = append(out, a.Value)
		}
		return out
	case b.object != nil:
		return jsonStrings(b.object.Get(name))
	case b.multipart != nil:
		return b.multipart.Values(name)
	}
	return nil
}

// jsonStrings returns the strings of a value that is a string or a list.
func jsonStrings(value json.RawMessage) []string {
	var one string
	var many []any
	switch {
	case len(value) == 0:
	case json.Unmarshal(value, &one) == nil:
		return []string{one}
	case json.Unmarshal(value, &many) == nil:
		out := make([]string, len(many))
		for i, v := range many {
			out[i], _ = v.(string)
		}
		return out
	}
	return nil
}

func (b bodyKeys) remove(x plugin.Exchange, name string) {
	switch {
	case b.form.Has(name):
		x.SetBody([]byte(b.form.Without(name).Encode()))
	case b.object != nil && b.object.Delete(name):
		x.SetBody(b.object.Encode())
	case b.multipart != nil && b.multipart.Has(name):
		b.multipart.Delete(name)
		x.SetBody(b.multipart.Encode())
	}
}
