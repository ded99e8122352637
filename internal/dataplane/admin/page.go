// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Kong's bounds of a page.
const (
	defaultSize = 100
	maxSize     = 1000
)

// Kong's codes of errors.
const (
	codeInvalidOffset  = 7
	codeInvalidSize    = 9
	codeInvalidOptions = 11
)

// failure is an error as Kong's data layer words it.
type failure struct {
	Name    string `json:"name"`
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// page is a part of a list of entities.
func (s *Server) page(list []entity.Entity, path string, query url.Values, whole bool) (int, any) {
	return paged(list, func(e entity.Entity) string { return string(e.EntityID()) },
		func(e entity.Entity) any { return s.view(e) }, path, query, whole)
}

// paged is a part of a list: size elements after the one that the offset names.
// whole says that the next page keeps size and tags, as Kong's lists of a whole
// collection do.
func paged[E any](list []E, key func(E) string, show func(E) any, path string, query url.Values, whole bool) (int, any) {
	size, after, bad := readPage(query)
	if bad != nil {
		return http.StatusBadRequest, bad
	}
	first := 0
	for after != "" && first < len(list) && key(list[first]) <= after {
		first++
	}
	last := min(first+size, len(list))
	data := make([]any, 0, last-first)
	for _, e := range list[first:last] {
		data = append(data, show(e))
	}
	body := map[string]any{"data": data, "next": nil}
	if last < len(list) {
		offset := base64.StdEncoding.EncodeToString([]byte(key(list[last-1])))
		next := path + "?offset=" + url.QueryEscape(offset)
		for _, name := range []string{"tags", "size"} {
			if whole && query.Has(name) {
				next += "&" + name + "=" + url.QueryEscape(query.Get(name))
			}
		}
		body["offset"], body["next"] = offset, next
	}
	return http.StatusOK, body
}

func readPage(query url.Values) (size int, after string, bad any) {
	size = defaultSize
	if query.Has("size") {
		n, err := strconv.Atoi(query.Get("size"))
		if err != nil {
			return 0, "", failure{"invalid size", codeInvalidSize, "size must be a number"}
		}
		if n < 1 || n > maxSize {
			return 0, "", failure{"invalid size", codeInvalidSize, fmt.Sprintf("size must be an integer between 1 and %d", maxSize)}
		}
		size = n
	}
	offset := query.Get("offset")
	decoded, err := base64.StdEncoding.DecodeString(offset)
	if err != nil {
		return 0, "", failure{"invalid offset", codeInvalidOffset, fmt.Sprintf("'%s' is not a valid offset: bad base64 encoding", offset)}
	}
	return size, string(decoded), nil
}
