// SPDX-License-Identifier: Apache-2.0

// Package proxycache answers from stored answers of the upstream
// (https://docs.konghq.com/hub/kong-inc/proxy-cache/).
//
// The store belongs to the process: it is bounded in bytes and outlives
// configs. Entries are told apart by route and consumer.
package proxycache

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: name, Priority: 100, Configure: configure}

const (
	name = "proxy-cache"
	// storeBytes bounds the store, entryBytes one entry of it.
	storeBytes = 128 << 20
	entryBytes = 8 << 20
)

type config struct {
	ResponseCode    []int    `json:"response_code"`
	RequestMethod   []string `json:"request_method"`
	ContentType     []string `json:"content_type"`
	CacheTTL        int64    `json:"cache_ttl"` // seconds
	CacheControl    bool     `json:"cache_control"`
	IgnoreURICase   bool     `json:"ignore_uri_case"`
	StorageTTL      int64    `json:"storage_ttl"` // seconds, 0: as long as an entry is fresh
	VaryQueryParams []string `json:"vary_query_params"`
	VaryHeaders     []string `json:"vary_headers"`
	ResponseHeaders struct {
		Age    bool `json:"age"`
		Status bool `json:"X-Cache-Status"`
		Key    bool `json:"X-Cache-Key"`
	} `json:"response_headers"`
}

// cache is one instance.
type cache struct {
	config
	types []mediaType
	store *store
}

var slot = plugin.NewSlot(name)

// transaction is what the phases of one exchange share.
type transaction struct {
	status   string // X-Cache-Status, "" for none
	key      key
	keyed    bool
	capture  bool
	captured *entry
	age      int64 // seconds, of a hit
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	p := &cache{}
	if err := schema.Decode(c.Values, &p.config); err != nil {
		return nil, err
	}
	for _, s := range p.ContentType {
		t, ok := parseMediaType(s)
		if !ok {
			return nil, fmt.Errorf("content_type: %q is not a media type", s)
		}
		p.types = append(p.types, t)
	}
	p.store = c.Host.State(name, "memory", func() any { return newStore(storeBytes) }).(*store)
	return &plugin.Phases{Access: p.access, HeaderFilter: p.headerFilter, BodyFilter: p.bodyFilter}, nil
}

func (p *cache) access(x plugin.Exchange) {
	t := &transaction{status: "Bypass"}
	x.SetValue(slot, t)
	asked := directives{}
	if p.CacheControl {
		asked = parseDirectives(x.Header())
	}
	if !p.asks(x.Request().Method, asked) {
		return
	}
	now := x.Marks().Start
	t.key, t.keyed = p.keyOf(x), true
	found := p.store.get(t.key, now)
	switch {
	case found == nil && asked.has("only-if-cached"):
		t.status = ""
		x.Exit(timeout(x))
	case found == nil:
		t.status, t.capture = "Miss", true
	case !p.accepts(found, asked, now):
		t.status, t.capture = "Refresh", true
	default:
		t.status, t.age = "Hit", int64(now.Sub(found.stored)/time.Second)
		x.Exit(plugin.Reply{Status: found.status, Header: found.header, Body: found.body, Proxied: true})
	}
}

// asks reports whether a request may be answered from the store.
func (p *cache) asks(method string, asked directives) bool {
	if asked.has("no-store") || asked.has("no-cache") {
		return false
	}
	for _, m := range p.RequestMethod {
		if m == method {
			return true
		}
	}
	return false
}

// accepts reports whether an entry is fresh enough for a request (RFC 9111,
// 5.2.1).
func (p *cache) accepts(e *entry, asked directives, now time.Time) bool {
	age := now.Sub(e.stored).Seconds()
	stale := age - e.ttl.Seconds()
	if seconds, ok := asked.seconds("max-age"); ok && age > seconds {
		return false
	}
	if seconds, ok := asked.seconds("min-fresh"); ok && -stale < seconds {
		return false
	}
	if asked.has("max-stale") {
		seconds, limited := asked.seconds("max-stale")
		return !limited || stale <= seconds
	}
	return stale <= 0
}

// timeout is the answer to only-if-cached without an entry. Like an error of
// the proxy itself it is plain text for a client that accepts anything.
func timeout(x plugin.Exchange) plugin.Reply {
	const message = "The upstream server is timing out"
	if x.Header().Has("Accept") {
		return plugin.Reply{Status: 504, Message: message}
	}
	return plugin.Reply{
		Status: 504, Body: []byte(message + "\nrequest_id: " + x.ID() + "\n"),
		Header: []plugin.Field{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}},
	}
}

func (p *cache) headerFilter(x plugin.Exchange) {
	t, ok := x.Value(slot).(*transaction)
	if !ok {
		return
	}
	response := x.Response()
	if t.capture {
		if ttl, ok := p.storable(response, x.Marks().Start); ok {
			p.begin(x, t, ttl)
		} else {
			t.status, t.capture = "Bypass", false
		}
	}
	h := response.Header
	if t.keyed && p.ResponseHeaders.Key {
		h.Set("X-Cache-Key", hex.EncodeToString(t.key[:]))
	}
	if t.status != "" && p.ResponseHeaders.Status {
		h.Set("X-Cache-Status", t.status)
	}
	if t.status == "Hit" && p.ResponseHeaders.Age {
		h.Set("Age", strconv.FormatInt(t.age, 10))
	}
}

// storable reports whether an answer may be stored, and how long it is fresh.
func (p *cache) storable(r *plugin.Response, now time.Time) (ttl time.Duration, ok bool) {
	ttl = time.Duration(p.CacheTTL) * time.Second
	if r.Source != plugin.SourceUpstream || !p.listed(r) {
		return 0, false
	}
	if !p.CacheControl {
		return ttl, true
	}
	said := parseDirectives(r.Header)
	if said.has("private") || said.has("no-store") || said.has("no-cache") {
		return 0, false
	}
	ttl = said.lifetime(r.Header, now)
	return ttl, ttl > 0
}

// listed reports whether status and content type are among those to store.
func (p *cache) listed(r *plugin.Response) bool {
	known := false
	for _, code := range p.ResponseCode {
		known = known || code == r.Status
	}
	actual, ok := parseMediaType(r.Header.Get("Content-Type"))
	if !known || !ok {
		return false
	}
	for _, t := range p.types {
		if t.matches(actual) {
			return true
		}
	}
	return false
}

// begin starts an entry with the header of the answer. The body of an answer
// to HEAD is not there, so that it is not stored.
func (p *cache) begin(x plugin.Exchange, t *transaction, ttl time.Duration) {
	if x.Request().Method == http.MethodHead {
		t.capture = false
		return
	}
	// An entry is as old as the answer, so that its age counts the time that
	// the upstream took against it.
	e := &entry{status: x.Response().Status, stored: x.Marks().Start, ttl: ttl}
	e.expires = e.stored.Add(ttl)
	if p.StorageTTL > 0 {
		e.expires = e.stored.Add(time.Duration(p.StorageTTL) * time.Second)
	}
	x.Response().Header.Each(func(name, value string) bool {
		if kept(name, e.status) {
			e.header = append(e.header, plugin.Field{Name: x.Keep(name), Value: x.Keep(value)})
		}
		return true
	})
	t.captured = e
}

// hopByHop are the headers that belong to a connection, or to this answer
// alone.
var hopByHop = map[string]bool{
	"connection": true, "keep-alive": true, "public": true, "proxy-authenticate": true, "proxy-authorization": true,
	"te": true, "trailer": true, "trailers": true, "transfer-encoding": true, "upgrade": true, "content-length": true,
	"age": true, "x-cache-key": true, "x-cache-status": true,
}

func kept(name string, status int) bool {
	name = strings.ToLower(name)
	if status == 204 && name == "content-type" {
		return false
	}
	return !hopByHop[name] && !strings.Contains(name, "ratelimit-remaining")
}

// bodyFilter copies the body; an answer that does not arrive as a whole is not
// stored.
func (p *cache) bodyFilter(x plugin.Exchange, chunk []byte, last bool) []byte {
	t, ok := x.Value(slot).(*transaction)
	if !ok || t.captured == nil {
		return chunk
	}
	e := t.captured
	if len(e.body)+len(chunk) > entryBytes {
		t.captured = nil
		return chunk
	}
	e.body = append(e.body, chunk...)
	if last {
		p.store.put(t.key, e)
		t.captured = nil
	}
	return chunk
}
