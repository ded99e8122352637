// SPDX-License-Identifier: Apache-2.0

package errorpage

import (
	"strings"
	"testing"
)

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]Type{
		"":                                       JSON,
		"*/*":                                    JSON,
		"text/html":                              HTML,
		"TEXT/HTML":                              HTML,
		"text/css":                               JSON,
		"text/*":                                 Plain,
		"application/xml":                        XML,
		"application/x-www":                      JSON,
		"image/png, text/html;q=0.9":             JSON,
		"text/html;q=0, text/plain;q=0.1":        Plain,
		"text/html;q=0.5, application/xml;q=0.9": XML,
		"text/html;level=1;q=0.4, application/json;q=0.3": HTML,
		"text/plain;q=0.5, text/html;q=0.5":               Plain,
		"text/html;q=0":                                   JSON,
		";;;,,,":                                          JSON,
	} {
		if got := Negotiate(accept); got != want {
			t.Errorf("Negotiate(%q) = %v, want %v", accept, got, want)
		}
	}
}

func TestNegotiateProxy(t *testing.T) {
	for _, c := range []struct {
		accept, contentType string
		fallback, want      Type
	}{
		{"", "", Plain, Plain},
		{"", "application/xml", Plain, XML},
		{"text/html", "application/xml", Plain, HTML},
		{"*/*", "", Plain, JSON},
	} {
		if got := NegotiateProxy(c.accept, c.contentType, c.fallback); got != c.want {
			t.Errorf("NegotiateProxy(%q, %q) = %v, want %v", c.accept, c.contentType, got, c.want)
		}
	}
}

func TestAppend(t *testing.T) {
	kong := DefaultTemplates()
	for typ, want := range map[Type]string{
		JSON:  "{\n  \"message\":\"No\",\n  \"request_id\":\"ab\"\n}",
		Plain: "No\nrequest_id: ab\n",
		HTML:  "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    <p>No.</p>\n    <p>request_id: ab</p>\n  </body>\n</html>\n",
		XML:   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>No</message>\n  <requestid>ab</requestid>\n</error>\n",
		GRPC:  "",
	} {
		if got := string(kong.Append(nil, typ, "No", "ab")); got != want {
			t.Errorf("%v: %q, want %q", typ, got, want)
		}
	}
}

func TestAppendEscapes(t *testing.T) {
	kong := DefaultTemplates()
	for typ, want := range map[Type]string{
		JSON:  "{\n  \"message\":\"a \\\"b\\\" \\\\ \\n <c>&\",\n  \"request_id\":\"\"\n}",
		Plain: "a \"b\" \\ \n <c>&\nrequest_id: \n",
		XML:   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>a \"b\" \\ \n &lt;c&gt;&amp;</message>\n  <requestid></requestid>\n</error>\n",
	} {
		if got := string(kong.Append(nil, typ, "a \"b\" \\ \n <c>&", "")); got != want {
			t.Errorf("%v: %q, want %q", typ, got, want)
		}
	}
}

func TestReplace(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"always the same":      "always the same",
		"%s":                   "a<b",
		"<%s|%s>":              "<a<b|id>",
		"100%% %s%%%s%%":       "100% a<b%id%",
		"{\"e\": \"%s\"}\n%%s": "{\"e\": \"a<b\"}\n%s",
	} {
		own := DefaultTemplates()
		if err := own.Replace(Plain, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := string(own.Append([]byte("> "), Plain, "a<b", "id")); got != "> "+want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if got, kong := own.Append(nil, XML, "m", "id"), DefaultTemplates(); string(got) != string(kong.Append(nil, XML, "m", "id")) {
			t.Errorf("%q: another media type has %q", text, got)
		}
	}
	own := DefaultTemplates()
	if err := own.Replace(HTML, "<b>%s</b>"); err != nil || string(own.Append(nil, HTML, "a<b", "")) != "<b>a&lt;b</b>" {
		t.Errorf("a message is not escaped: %v", err)
	}
	for _, text := range []string{"%s %s %s", "100%", "%d", "%s %", "% s"} {
		if err := own.Replace(JSON, text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzReplace(f *testing.F) {
	f.Add("a %s b %s c %%")
	f.Fuzz(func(t *testing.T, text string) {
		own := DefaultTemplates()
		if own.Replace(Plain, text) != nil {
			return
		}
		want := strings.ReplaceAll(text, "%%", "\x00")
		want = strings.Replace(strings.Replace(want, "%s", "M", 1), "%s", "R", 1)
		if got := string(own.Append(nil, Plain, "M", "R")); got != strings.ReplaceAll(want, "\x00", "%") && !strings.Contains(text, "\x00") {
			t.Errorf("%q: got %q", text, got)
		}
	})
}

func TestMessage(t *testing.T) {
	if got := Message(504); got != "The upstream server is timing out" {
		t.Error(got)
	}
	if got := Message(599); got != "The upstream server responded with 599" {
		t.Error(got)
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add("text/html;q=0.5, */*")
	f.Fuzz(func(t *testing.T, accept string) {
		if got := Negotiate(accept); got > XML {
			t.Fatalf("unknown type %v", got)
		}
	})
}
