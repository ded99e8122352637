// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEcho(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	handler := echo("one", func() time.Time { return at })
	req := httptest.NewRequest(http.MethodPost, "http://api.example.com/v1?a=b", strings.NewReader("hello"))
	req.Header.Set("X-Forwarded-Client-Cert", "URI=spiffe://x")
	req.Header.Set("A", "1")
	rec := httptest.NewRecorder()
	handler(rec, req)
	want := "POST http://api.example.com/v1?a=b HTTP/1.1\nHost: api.example.com\nA: 1\nX-Forwarded-Client-Cert: URI=spiffe://x\n\nhello\none says OK at 2026-01-02T03:04:05Z\n"
	if rec.Code != http.StatusOK || rec.Body.String() != want || rec.Header().Get("X-Echo-Name") != "one" {
		t.Errorf("%d %v\n%s\nwant\n%s", rec.Code, rec.Header(), rec.Body, want)
	}
}

func TestWishes(t *testing.T) {
	handler := echo("one", time.Now)
	for query, want := range map[string]int{
		"": 200, "status=503": 503, "status=999": 400, "status=x": 400, "delay=1ms": 200, "delay=1h": 400, "delay=x": 400,
	} {
		rec := httptest.NewRecorder()
		handler(rec, httptest.NewRequest(http.MethodGet, "/?"+query, nil))
		if rec.Code != want {
			t.Errorf("%q: %d, want %d", query, rec.Code, want)
		}
	}
}

func TestGet(t *testing.T) {
	server := httptest.NewServer(echo("two", time.Now))
	defer server.Close()
	var out bytes.Buffer
	if err := get(t.Context(), []string{"-H", "Host: api.example.com", "-H", "X-A: b", "-X", "PUT", "-d", "body", server.URL + "/x?status=404"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"HTTP/1.1 404 Not Found\n", "PUT /x?status=404 HTTP/1.1\nHost: api.example.com\n", "X-A: b\n", "\nbody\n", "two says OK"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	server.Close()
	if err := get(t.Context(), []string{server.URL}, &out); err == nil {
		t.Error("no error without an answer")
	}
}
