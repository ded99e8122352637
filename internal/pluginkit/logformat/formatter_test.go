// SPDX-License-Identifier: Apache-2.0

package logformat

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)

func proxied() *plugintest.Exchange {
	x := plugintest.New(start, "GET", "/a%20b//c?x=%20&y&z=1&z=2", "Authorization", "Bearer x", "proxy-authorization", "Basic y", "X-Many", "1", "x-many", "2")
	x.RequestFacts.Size = 70
	x.UpstreamRequest.Path, x.UpstreamRequest.Query = "/a%20b/c", "x=%20&y&z=1&z=2"
	x.MatchedRoute = &entity.Route{ID: "11111111-1111-4111-8111-111111111111", Name: "main", Paths: []string{"/"},
		Service: &entity.Ref{ID: "22222222-2222-4222-8222-222222222222"}}
	x.MatchedService = &entity.Service{ID: "22222222-2222-4222-8222-222222222222", Name: "api", Host: "127.0.0.1"}
	x.Answer = plugin.Response{Status: 200, Size: 300, Source: plugin.SourceUpstream}
	x.AnswerHeader = plugintest.NewHeader("Content-Length", "1", "Set-Cookie", "a=1", "Set-Cookie", "b=2")
	x.Times.AccessDone, x.Times.FirstByte, x.Times.End = start.Add(2*time.Millisecond), start.Add(12*time.Millisecond), start.Add(15*time.Millisecond)
	x.Attempts = []plugin.Try{{Address: netip.MustParseAddrPort("10.0.0.1:9000"), Started: start.Add(2 * time.Millisecond), Latency: 1500 * time.Microsecond, Status: 200}}
	return x
}

func TestRecords(t *testing.T) {
	for name, change := range map[string]func(*plugintest.Exchange){
		"proxied": func(*plugintest.Exchange) {},
		"consumer": func(x *plugintest.Exchange) {
			x.Who = plugin.Identity{
				Consumer:   &entity.Consumer{ID: "33333333-3333-4333-8333-333333333333", Username: "amy", CustomID: "c-1", Tags: []string{"gold"}, Groups: []entity.Ref{{ID: "g"}}},
				Credential: &entity.Credential{ID: "44444444-4444-4444-8444-444444444444", Fields: map[string]any{"key": "never shown"}},
			}
		},
		"exit": func(x *plugintest.Exchange) {
			x.Attempts, x.Times.AccessDone, x.Times.FirstByte = nil, time.Time{}, time.Time{}
			x.Answer.Status, x.Answer.Source = 418, plugin.SourceExit
		},
		"failed-tries": func(x *plugintest.Exchange) {
			x.Times.FirstByte = time.Time{}
			x.Answer.Status, x.Answer.Source = 504, plugin.SourceError
			x.Attempts[0].Status, x.Attempts[0].Failure = 0, "failed"
			x.Attempts = append(x.Attempts, x.Attempts[0])
			x.Attempts[1].TargetID, x.Attempts[1].Reused = "55555555-5555-4555-8555-555555555555", true
		},
		"nothing-matched": func(x *plugintest.Exchange) {
			x.MatchedRoute, x.MatchedService, x.Attempts = nil, nil, nil
			x.UpstreamRequest = plugin.Upstream{}
			x.Answer.Status, x.Answer.Source = 404, plugin.SourceError
		},
		"tls": func(x *plugintest.Exchange) {
			x.RequestFacts.Scheme = "https"
			x.ClientFacts.TLS = &tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		},
		"changed": func(x *plugintest.Exchange) {
			Set(x, "custom.deep", "v")
			Set(x, "request.headers.x-many", nil)
			Set(x, "source", "changed")
		},
		"bytes-that-are-no-text": func(x *plugintest.Exchange) {
			x.RequestHeader.Add("X-Odd", "a\xffb\"\\\n\x01é")
			x.RequestFacts.Target = "/\"\xff?"
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := proxied()
			change(x)
			golden(t, name, New(start).Append([]byte("before"), x))
		})
	}
}

// golden compares a record, appended to "before", with the file of that name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	record, kept := bytes.CutPrefix(got, []byte("before"))
	if !kept {
		t.Fatal("the buffer's content is gone")
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, record, "", "  "); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, got)
	}
	pretty.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pretty.Bytes(), want) {
		t.Errorf("record differs from %s:\n%s", file, pretty.String())
	}
}

func TestEntitiesAreForgottenWhenTheyAreMany(t *testing.T) {
	f := New(start)
	for range 3 * knownEntities {
		f.entity(&entity.Consumer{ID: "33333333-3333-4333-8333-333333333333", Username: "u"})
	}
	if len(f.known) > knownEntities {
		t.Errorf("%d entities are remembered", len(f.known))
	}
}

func FuzzValues(f *testing.F) {
	f.Add("a\x00\xff\"\\", "a=1&b&a=%zz&=;")
	f.Fuzz(func(t *testing.T, text, query string) {
		if out := appendString(nil, text); !json.Valid(out) {
			t.Errorf("%q", out)
		}
		if out := appendQuery(nil, query); !json.Valid(out) {
			t.Errorf("%q", out)
		}
		if out := appendHeaders(nil, plugintest.NewHeader(text, query, query, text, text, query), true); !json.Valid(out) {
			t.Errorf("%q", out)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	x, f := proxied(), New(start)
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = f.Append(buffer[:0], x)
	}
}
