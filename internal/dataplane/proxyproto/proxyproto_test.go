// SPDX-License-Identifier: Apache-2.0

package proxyproto

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

func TestParse(t *testing.T) {
	v4 := signature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x01" + "\xc6\x33\x64\x02" + "\x30\x39" + "\x01\xbb"
	v6 := signature + "\x21\x21\x00\x24" + strings.Repeat("\x00", 15) + "\x01" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02" + "\x00\x07" + "\x00\x08"
	for _, c := range []struct {
		name, in     string
		source, dest string // "" where the header names no addresses
		size         int    // 0: of all of in
	}{
		{"v1 TCP4", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", "192.0.2.1:12345", "198.51.100.2:443", 0},
		{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "[2001:db8::1]:1", "[2001:db8::2]:65535", 0},
		{"v1 mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", "192.0.2.1:1", "192.0.2.2:2", 0},
		{"v1 data behind", "PROXY TCP4 192.0.2.1 198.51.100.2 0 443\r\nPROXY", "192.0.2.1:0", "198.51.100.2:443", 41},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "", "", 0},
		{"v1 unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nx", "", "", 35},
		{"v2 TCP4", v4, "192.0.2.1:12345", "198.51.100.2:443", 0},
		{"v2 TCP6", v6, "[::1]:7", "[2001:db8::2]:8", 0},
		{"v2 UDP4", strings.Replace(v4, "\x21\x11", "\x21\x12", 1), "192.0.2.1:12345", "198.51.100.2:443", 0},
		{"v2 with values", strings.Replace(v4, "\x00\x0c", "\x00\x11", 1) + "\x04\x00\x02abGET", "192.0.2.1:12345", "198.51.100.2:443", 33},
		{"v2 local", signature + "\x20\x00\x00\x00", "", "", 0},
		{"v2 local with addresses", strings.Replace(v4, "\x21\x11", "\x20\x11", 1), "", "", 0},
		{"v2 unspecified", signature + "\x21\x00\x00\x02xx", "", "", 0},
		{"v2 unix", signature + "\x21\x31\x00\xd8" + strings.Repeat("\x00", 216), "", "", 0},
	} {
		h, err := Parse([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := Header{Size: len(c.in)}
		if c.size != 0 {
			want.Size = c.size
		}
		if c.source != "" {
			want.Source, want.Destination = netip.MustParseAddrPort(c.source), netip.MustParseAddrPort(c.dest)
		}
		if h != want {
			t.Errorf("%s: %+v, want %+v", c.name, h, want)
		}
		for i := range want.Size {
			if _, err := Parse([]byte(c.in[:i])); !errors.Is(err, ErrMore) {
				t.Errorf("%s, first %d bytes: %v", c.name, i, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for name, in := range map[string]string{
		"HTTP":                 "GET / HTTP/1.1\r\n",
		"TLS":                  "\x16\x03\x01",
		"lower case":           "proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
		"v1 without end":       "PROXY TCP4 " + strings.Repeat("1", 200),
		"v1 bare LF":           "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n" + strings.Repeat("x", 100),
		"v1 two blanks":        "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
		"v1 fewer fields":      "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
		"v1 more fields":       "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
		"v1 family":            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
		"v1 other family":      "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
		"v1 protocol":          "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
		"v1 zone":              "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
		"v1 port":              "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
		"v1 leading zero":      "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
		"v1 sign":              "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
		"v1 octal":             "PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
		"v2 version":           signature + "\x11\x11\x00\x0c" + strings.Repeat("\x00", 12),
		"v2 command":           signature + "\x22\x11\x00\x0c" + strings.Repeat("\x00", 12),
		"v2 family":            signature + "\x21\x41\x00\x0c" + strings.Repeat("\x00", 12),
		"v2 protocol":          signature + "\x21\x13\x00\x0c" + strings.Repeat("\x00", 12),
		"v2 short addresses":   signature + "\x21\x11\x00\x0b" + strings.Repeat("\x00", 11),
		"v2 short v6":          signature + "\x21\x21\x00\x0c" + strings.Repeat("\x00", 12),
		"v2 larger than limit": signature + "\x21\x11\xff\xff",
	} {
		if h, err := Parse([]byte(in)); err == nil || errors.Is(err, ErrMore) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

// Whatever comes, Parse neither breaks nor asks for more than MaxSize bytes,
// and what follows a header changes nothing.
func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(signature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		if errors.Is(err, ErrMore) && len(b) >= MaxSize {
			t.Fatalf("%d bytes are not enough", len(b))
		}
		if err != nil {
			return
		}
		if h.Size <= 0 || h.Size > min(len(b), MaxSize) {
			t.Fatalf("size %d of %d", h.Size, len(b))
		}
		if h.Source.IsValid() != h.Destination.IsValid() {
			t.Fatalf("one address without the other: %+v", h)
		}
		for _, rest := range []string{"", "x"} {
			if again, err := Parse(append(b[:h.Size:h.Size], rest...)); err != nil || again != h {
				t.Fatalf("%+v, %v; before %+v", again, err, h)
			}
		}
	})
}
