// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
	"sync"
)

// EncodeJSON returns v as JSON with the keys of mappings sorted, without HTML
// escapes and without a final newline. It fails on what has no JSON form.
func EncodeJSON(v any) ([]byte, error) {
	b, _ := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	// What is returned is often kept for long: without the buffer's room.
	return bytes.Clone(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// DecodeObject reads a JSON object; its numbers keep their digits, as
// json.Number. It fails on anything else.
func DecodeObject(data []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v map[string]any
	err := decoder.Decode(&v)
	return v, err
}
