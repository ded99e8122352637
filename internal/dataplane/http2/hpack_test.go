// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
)

// decodeAll returns the fields of a block as lines.
func decodeAll(d *decoder, block []byte) (string, error) {
	var out strings.Builder
	err := d.decode(block, func(name, value []byte) { fmt.Fprintf(&out, "%q=%q\n", name, value) })
	return out.String(), err
}

func referenceAll(d *hpack.Decoder, block []byte) (string, error) {
	var out strings.Builder
	d.SetEmitFunc(func(f hpack.HeaderField) { fmt.Fprintf(&out, "%q=%q\n", f.Name, f.Value) })
	_, err := d.Write(block)
	if closed := d.Close(); err == nil {
		err = closed
	}
	return out.String(), err
}

// TestDecoderFollowsEncoder lets a table live through many blocks of fields that come again, are new, or do not fit.
func TestDecoderFollowsEncoder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var encoded bytes.Buffer
	encoder := hpack.NewEncoder(&encoded)
	ours := &decoder{}
	for block := range 2000 {
		encoded.Reset()
		var want strings.Builder
		if random.IntN(100) == 0 {
			encoder.SetMaxDynamicTableSize(uint32(random.IntN(tableLimit + 1)))
		}
		for range random.IntN(12) {
			name := []string{"accept", "x-one", "x-two", "cookie", ":path", "user-agent"}[random.IntN(6)]
			value := strings.Repeat(fmt.Sprint(random.IntN(8)), random.IntN(60)*random.IntN(40))
			fmt.Fprintf(&want, "%q=%q\n", name, value)
			if err := encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: random.IntN(10) == 0}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := decodeAll(ours, encoded.Bytes()); err != nil || got != want.String() {
			t.Fatalf("block %d: %v\ngot\n%s\nwant\n%s", block, err, got, want.String())
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	for name, block := range map[string][]byte{
		"index 0":                       {0x80},
		"index beyond both tables":      {0xbe},
		"name index beyond both tables": {0x7e, 0x01, 'a'},
		"table larger than announced":   {0x3f, 0xe2, 0x1f},
		"table size behind a field":     {0x82, 0x20},
		"three table sizes":             {0x20, 0x21, 0x22, 0x82},
		"integer without end":           {0xff, 0xff, 0xff},
		"integer too large":             {0xff, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"string longer than the block":  {0x00, 0x05, 'a'},
		"no value":                      {0x00, 0x01, 'a'},
		"Huffman padding of 8 bits":     {0x00, 0x01, 'a', 0x82, 0x1f, 0xff},
		"Huffman padding with zeros":    {0x00, 0x01, 'a', 0x81, 0x18},
		"Huffman end of string":         {0x00, 0x01, 'a', 0x84, 0xff, 0xff, 0xff, 0xff},
	} {
		if out, err := decodeAll(&decoder{}, block); err == nil {
			t.Errorf("%s: decoded to %q", name, out)
		}
	}
}

// twoUpdates reports whether a block begins with two table size updates.
func twoUpdates(block []byte) bool {
	for range 2 {
		if len(block) == 0 || block[0]&0xe0 != 0x20 {
			return false
		}
		var ok bool
		if _, block, ok = readInteger(block, 5); !ok {
			return false
		}
	}
	return true
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte{0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff}, []byte{0xbe, 0xbf})
	f.Add([]byte{0x20, 0x3f, 0xe1, 0x1f, 0x40, 1, 'a', 1, 'b'}, []byte{0x7e, 2, 'c', 'd'})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		ours, theirs := &decoder{}, hpack.NewDecoder(tableLimit, nil)
		for _, block := range [][]byte{first, second, first} {
			got, err := decodeAll(ours, block)
			want, reference := referenceAll(theirs, block)
			if reference != nil && twoUpdates(block) {
				// The reference takes one only, unless its table is empty.
				return
			}
			if err == nil && (reference != nil || got != want) {
				t.Fatalf("%x: got %q, want %q, %v", block, got, want, reference)
			}
			if err != nil {
				return
			}
		}
	})
}

// TestEncoder has the reference decode what is encoded.
func TestEncoder(t *testing.T) {
	var h http1.Header
	for _, f := range []string{"Content-Type: text/plain", "X-Own: 1", "Connection: close", "Content-Length: 9", "Keep-Alive: x",
		"Transfer-Encoding: chunked", "Upgrade: h2c", "Set-Cookie: a=b", "bad name: x", "X-Bad: a\r\nb", "Content_Length: 1", "X-Long: " + strings.Repeat("v", 5000)} {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, []byte(value))
	}
	fields := "\"content-type\"=\"text/plain\"\n\"x-own\"=\"1\"\n\"set-cookie\"=\"a=b\"\n\"x-bad\"=\"a  b\"\n\"x-long\"=\"" + strings.Repeat("v", 5000) + "\"\n"
	var e Encoder
	response := func(status int, framing http1.Framing, length int64) string {
		block, err := e.AppendResponse(nil, &http1.ResponseHead{Status: status, Header: &h, Framing: framing, ContentLength: length})
		if err != nil {
			t.Fatal(err)
		}
		out, err := referenceAll(hpack.NewDecoder(tableLimit, nil), block)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct{ got, want string }{
		{response(200, http1.BodyLength, 300), "\":status\"=\"200\"\n\"content-length\"=\"300\"\n" + fields},
		{response(418, http1.BodyChunked, -1), "\":status\"=\"418\"\n" + fields},
		{response(204, http1.BodyNone, 5), "\":status\"=\"204\"\n" + fields},
		{response(304, http1.BodyNone, 5), "\":status\"=\"304\"\n\"content-length\"=\"5\"\n" + fields},
	} {
		if c.got != c.want {
			t.Errorf("got\n%.300s\nwant\n%.300s", c.got, c.want)
		}
	}
	if _, err := e.AppendResponse(nil, &http1.ResponseHead{Status: 99}); err == nil {
		t.Error("status 99 is encoded")
	}
	block, err := e.AppendRequest(nil, &http1.RequestHead{Method: []byte("PUT"), Path: []byte("/a b"), Query: []byte("q"), Host: []byte("h"), Header: &h}, "https")
	if err != nil {
		t.Fatal(err)
	}
	out, err := referenceAll(hpack.NewDecoder(tableLimit, nil), block)
	if want := "\":method\"=\"PUT\"\n\":scheme\"=\"https\"\n\":path\"=\"/a%20b?q\"\n\":authority\"=\"h\"\n" + fields; err != nil || out != want {
		t.Errorf("%v got\n%.300s\nwant\n%.300s", err, out, want)
	}
	if _, err := e.AppendRequest(nil, &http1.RequestHead{Method: []byte("A B"), Path: []byte("/")}, "http"); err == nil {
		t.Error("a method with a blank is encoded")
	}
	if _, err := e.AppendRequest(nil, &http1.RequestHead{Method: []byte("GET")}, "http"); err == nil {
		t.Error("no path is encoded")
	}
}
