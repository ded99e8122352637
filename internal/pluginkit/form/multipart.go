// SPDX-License-Identifier: Apache-2.0

package form

import (
	"bytes"
	"mime"
	"slices"
	"strings"
)

// Multipart is a multipart/form-data body whose parts keep their bytes.
type Multipart struct {
	boundary string
	parts    []part
}

type part struct {
	name string
	head string // header lines without the empty line
	body []byte
}

// ParseMultipart reads a body; ok is false when it is not multipart/form-data
// as its Content-Type says. Bodies of parts share memory with data.
func ParseMultipart(contentType string, data []byte) (m *Multipart, ok bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, false
	}
	m = &Multipart{boundary: params["boundary"]}
	delimiter := []byte("--" + m.boundary)
	_, rest, found := bytes.Cut(data, delimiter)
	if !found {
		return m, len(data) == 0
	}
	for !bytes.HasPrefix(rest, []byte("--")) {
		content, after, found := bytes.Cut(rest, append([]byte("\r\n"), delimiter...))
		if !found {
			return nil, false
		}
		_, content, _ = bytes.Cut(content, []byte("\r\n"))
		head, body, _ := bytes.Cut(content, []byte("\r\n\r\n"))
		m.parts = append(m.parts, part{name: partName(string(head)), head: string(head), body: body})
		rest = after
	}
	return m, true
}

func partName(head string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		key, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(key), "content-disposition") {
			continue
		}
		if _, params, err := mime.ParseMediaType(strings.TrimSpace(value)); err == nil {
			return params["name"]
		}
	}
	return ""
}

// Has reports whether there is a part of that name.
func (m *Multipart) Has(name string) bool {
	return slices.ContainsFunc(m.parts, func(p part) bool { return p.name == name })
}

// Values returns the bodies of the parts of that name.
func (m *Multipart) Values(name string) []string {
	var out []string
	for _, p := range m.parts {
		if p.name == name {
			out = append(out, string(p.body))
		}
	}
	return out
}

// Delete takes out the parts of that name.
func (m *Multipart) Delete(name string) {
	m.parts = slices.DeleteFunc(m.parts, func(p part) bool { return p.name == name })
}

// Set takes out the parts of that name and adds one at the end.
func (m *Multipart) Set(name, value string) {
	m.Delete(name)
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(name)
	m.parts = append(m.parts, part{name: name, head: `Content-Disposition: form-data; name="` + quoted + `"`, body: []byte(value)})
}

// Encode renders the body.
func (m *Multipart) Encode() []byte {
	var b bytes.Buffer
	for _, p := range m.parts {
		b.WriteString("--" + m.boundary + "\r\n" + p.head + "\r\n\r\n")
		b.Write(p.body)
		b.WriteString("\r\n")
	}
	b.WriteString("--" + m.boundary + "--\r\n")
	return b.Bytes()
}
