// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSink(t *testing.T) {
	handler := (&sink{now: time.Now}).handler()
	do := func(method, path, body string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
		return rec
	}
	list := func() []received {
		var out []received
		if err := json.Unmarshal(do(http.MethodGet, "/received", "").Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := list(); got == nil || len(got) != 0 {
		t.Errorf("at first %v, want an empty list", got)
	}
	for _, body := range []string{"{\"a\":1}", "plain", ""} {
		if code := do(http.MethodPost, "/log?x=y", body).Code; code != http.StatusOK {
			t.Errorf("%q: %d", body, code)
		}
	}
	got := list()
	if len(got) != 3 || string(got[0].Body) != "{\"a\":1}" || string(got[1].Body) != "\"plain\"" || string(got[2].Body) != "\"\"" || got[0].Path != "/log?x=y" {
		t.Errorf("kept %+v", got)
	}
	if code := do(http.MethodDelete, "/received", "").Code; code != http.StatusNoContent || len(list()) != 0 {
		t.Errorf("delete: %d, then %v", code, list())
	}
	for range maxKept + 5 {
		do(http.MethodPost, "/", "1")
	}
	if got := len(list()); got != maxKept {
		t.Errorf("keeps %d, want %d", got, maxKept)
	}
}
