// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"fmt"
	"strings"
	"testing"
)

func headerOf(pairs ...string) *Header {
	h := &Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], []byte(pairs[i+1]))
	}
	return h
}

func TestEveryWellKnownNameIsFound(t *testing.T) {
	for id := HeaderOther + 1; id < headerCount; id++ {
		name := id.Name()
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := LookupID(spelling); got != id {
				t.Errorf("LookupID(%q) = %d, want %d: two names share a slot", spelling, got, id)
			}
		}
		for _, other := range []string{name + "x", name[:len(name)-1] + "\x7f", "x" + name[1:] + "y"} {
			if got := LookupID(other); got != HeaderOther {
				t.Errorf("LookupID(%q) = %d", other, got)
			}
		}
	}
	if LookupID("") != HeaderOther {
		t.Error("the empty name has an id")
	}
}

func TestHeaderEdits(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(h *Header)
		want string
	}{
		{"nothing", func(*Header) {}, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=4;via=5;"},
		{"Add", func(h *Header) { h.Add("X-Foo", []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=4;via=5;X-Foo=6;"},
		{"AddID", func(h *Header) { h.AddID(HeaderVia, []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=4;via=5;Via=6;"},
		{"Set", func(h *Header) { h.Set("X-FOO", []byte("6")) }, "Host=a;X-Foo=6;x_foo=2;Via=4;via=5;"},
		{"Set of an absent name", func(h *Header) { h.Set("B", []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=4;via=5;B=6;"},
		{"SetID", func(h *Header) { h.SetID(HeaderVia, []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=6;"},
		{"Set of a well-known name", func(h *Header) { h.Set("VIA", []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=6;"},
		{"SetID of an absent name", func(h *Header) { h.SetID(HeaderDate, []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=4;via=5;Date=6;"},
		{"Del", func(h *Header) { h.Del("x-foo") }, "Host=a;x_foo=2;Via=4;via=5;"},
		{"DelID", func(h *Header) { h.DelID(HeaderVia) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;"},
		{"DelID and AddID", func(h *Header) { h.DelID(HeaderVia); h.AddID(HeaderVia, []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=6;"},
		{"Clear", func(h *Header) { h.Clear("X-Foo") }, "Host=a;Via=4;via=5;"},
		{"Clear by underscore form", func(h *Header) { h.Clear("X_Foo") }, "Host=a;Via=4;via=5;"},
		{"Clear of a well-known name", func(h *Header) { h.Add("x_real_ip", nil); h.Add("X-Real-IP", nil); h.ClearID(HeaderXRealIP) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=4;via=5;"},
		{"Clear of a well-known name by underscore form", func(h *Header) { h.Add("x_real_ip", nil); h.Add("X-Real-IP", nil); h.Clear("X_REAL_IP") }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=4;via=5;"},
		{"Replace", func(h *Header) { h.Replace("X-Foo", []byte("6")) }, "Host=a;Via=4;via=5;X-Foo=6;"},
		{"ReplaceID", func(h *Header) { h.ReplaceID(HeaderVia, []byte("6")) }, "Host=a;X-Foo=1;x_foo=2;x-FOO=3;Via=6;"},
		{"Reset", func(h *Header) { h.Reset() }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := headerOf("Host", "a", "X-Foo", "1", "x_foo", "2", "x-FOO", "3", "Via", "4", "via", "5")
			c.edit(h)
			if got := fieldList(h); got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestHeaderReads(t *testing.T) {
	h := headerOf("Via", "4", "X-Foo", "1", "via", "5", "x-foo", "2", "X_Foo", "3")
	get := func(v []byte, ok bool) string { return fmt.Sprintf("%s %v", v, ok) }
	for got, want := range map[string]string{
		get(h.Get("VIA")):                                             "4 true",
		get(h.GetID(HeaderVia)):                                       "4 true",
		get(h.Get("x-FOO")):                                           "1 true",
		get(h.Get("x-fo")):                                            " false",
		get(h.GetID(HeaderHost)):                                      " false",
		fmt.Sprintf("%s", h.AppendValues(nil, "x-foo")):               "[1 2]",
		fmt.Sprintf("%s", h.AppendValuesID(nil, HeaderVia)):           "[4 5]",
		fmt.Sprint(h.Has("x-foo"), h.Has("date"), h.HasID(HeaderVia)): "true false true",
		fmt.Sprint(h.Len(), len(h.Fields())):                          "5 5",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	n := 0
	h.Each(func(_, _ []byte) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("Each visited %d fields, want 2", n)
	}
	c := &Header{}
	c.CopyFrom(h)
	c.Clear("x-foo")
	if h.Len() != 5 || c.Len() != 2 {
		t.Errorf("a copy of 5 fields has %d, the original %d", c.Len(), h.Len())
	}
}

func TestArena(t *testing.T) {
	var a Arena
	first := a.Copy([]byte("one"))
	if cap(first) != 3 {
		t.Error("a slice of the arena can be appended into its neighbour")
	}
	second := a.CopyString("two")
	for range 100 {
		a.Alloc(arenaChunk)
	}
	joined := a.Join(first, []byte(", "), second)
	if string(first)+string(second)+string(joined) != "onetwoone, two" {
		t.Errorf("%s %s %s after growth", first, second, joined)
	}
	a.Reset()
	a.Copy([]byte("xxx"))
	if n := testing.AllocsPerRun(100, func() { a.Reset(); a.Alloc(100); a.CopyString("b") }); n != 0 {
		t.Errorf("%v allocations in a used arena", n)
	}
}
