// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"errors"
	"strings"
	"testing"
)

// format writes a tree with all its parentheses, so that Parse reads it back.
func format(n Node) string {
	switch n := n.(type) {
	case And:
		return "(" + formatAll(n, " && ") + ")"
	case Or:
		return "(" + formatAll(n, " || ") + ")"
	case Not:
		return "!(" + format(n.Node) + ")"
	case *Predicate:
		return n.String()
	}
	panic("no node")
}

func formatAll(nodes []Node, op string) string {
	var out []string
	for _, n := range nodes {
		out = append(out, format(n))
	}
	return strings.Join(out, op)
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// Who binds closer.
		{`net.dst.port == 1 && tls.sni != "b" || http.method == "c"`, `(net.dst.port == 1 && (tls.sni != "b" || http.method == "c"))`},
		{`net.dst.port > 1 || net.dst.port < 2 && net.src.port <= 3 || http.path contains "x"`,
			`((net.dst.port > 1 || net.dst.port < 2) && (net.src.port <= 3 || http.path contains "x"))`},
		{`net.dst.port == 1 || (http.path == "a" && http.path == "b") || http.path == "c"`,
			`(net.dst.port == 1 || (http.path == "a" && http.path == "b") || http.path == "c")`},
		{`!(http.path == "a") && ! (net.dst.port >= 2 || (net.dst.port == 3))`, `(!(http.path == "a") && !((net.dst.port >= 2 || net.dst.port == 3)))`},
		{`((http.path ^= "a"))`, `http.path ^= "a"`},
		// Fields and functions.
		{`lower(http.path)=="/a"`, `lower(http.path) == "/a"`},
		{"any(lower(lower( http.headers.X_Foo\n)))\t~\r\"b\"", `any(lower(http.headers.X_Foo)) ~ "b"`},
		{`lower(any(http.queries.q)) =^ ""`, `any(lower(http.queries.q)) =^ ""`},
		{`http.path.segments.0 == "a" && http.path.segments.10_12 == "b" && http.path.segments.len == 2`,
			`(http.path.segments.0 == "a" && http.path.segments.10_12 == "b" && http.path.segments.len == 2)`},
		{`net.port == 8000`, `net.dst.port == 8000`},
		// Constants.
		{`http.path == "a\"\\\n\r\tb"`, `http.path == "a\"\\\n\r\tb"`},
		{`http.path == r#"a\d"b# c"#`, `http.path == "a\\d\"b# c"`},
		{`net.dst.port == 0x1F || net.dst.port == 017 || net.dst.port == -5 || net.dst.port == 09`,
			`(net.dst.port == 31 || net.dst.port == 15 || net.dst.port == -5 || net.dst.port == 9)`},
		{`net.src.ip in 10.0.0.0/8 && net.src.ip not  in fd00::/8 && net.dst.ip == 10.1.2.3 && net.dst.ip != ::1`,
			`(net.src.ip in 10.0.0.0/8 && net.src.ip not in fd00::/8 && net.dst.ip == 10.1.2.3 && net.dst.ip != ::1)`},
		{`http.path~r#"^/[[:alpha:]\[]+$"#`, `http.path ~ "^/[[:alpha:]\\[]+$"`},
	} {
		n, err := Parse(c.text, HTTP)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := format(n); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		text, want string
		family     Family
	}{
		{text: ``, want: `1:1: the end is not expected here; a predicate begins with a field`},
		{text: `http.path == "/a" http.host == "b"`, want: `1:19: "http.host" is not expected here; combine predicates with && or ||`},
		{text: "http.path == \"/a\" &&\n  http.foo == \"b\"", want: `2:3: unknown field "http.foo"; use one of http.method, `},
		{text: `http.headers.a.b == "b"`, want: `1:1: unknown field`},
		{text: `http.headers.x-foo == "b"`, want: `names are written with _ in place of -`},
		{text: `! http.path == "a"`, want: `1:3: ! needs a parenthesis: write !(…)`},
		{text: `(http.path == "a"`, want: `1:18: the end is not expected here; the parenthesis of column 1 needs a )`},
		{text: `upper(http.path) == "A"`, want: `1:1: unknown function "upper"; there are lower() and any()`},
		{text: `lower(net.src.port) == 1`, want: `lower() is for text and net.src.port is a number`},
		{text: `lower(http.path == "a"`, want: `the function needs a )`},
		{text: `http.path = "a"`, want: `1:11: "=" is no operator; there are == != ~ ^= =^ contains > >= < <= in and "not in"; is == meant?`},
		{text: `http.path in "a"`, want: `1:11: in is not for this field, which is text; use one of == != ~ ^= =^ and contains`},
		{text: `net.src.port ^= 1`, want: `^= is not for this field, which is a number; use one of == != > >= < and <=`},
		{text: `net.src.ip > 1`, want: `> is not for this field, which is an IP address`},
		{text: `net.src.ip not 10.0.0.0/8`, want: `1:12: not is no operator; there is "not in"`},
		{text: `net.dst.port == "80"`, want: `1:17: the field is a number and cannot be compared with text; write a number without quotes`},
		{text: `http.path == 80`, want: `write the constant in double quotes`},
		{text: `net.src.ip == "10.0.0.1"`, want: `write an address without quotes`},
		{text: `net.src.ip == 10.0.0.0/8`, want: `1:15: a range is compared with in or "not in"`},
		{text: `net.src.ip in 10.0.0.1`, want: `1:15: in needs a range; write 10.0.0.1/32, or == for one address`},
		{text: `net.src.ip in 192.168.0.1/24`, want: `192.168.0.1/24 has bits behind its prefix length; write 192.168.0.0/24`},
		{text: `net.src.ip == 1.2.3`, want: `"1.2.3" is neither an address nor a range`},
		{text: `net.dst.port == 99999999999999999999`, want: `is no number: value out of range`},
		{text: `net.dst.port == 0128`, want: `"0128" is no number: invalid syntax`},
		{text: `http.path == "a\d"`, want: `1:16: unknown escape`},
		{text: `http.path == "a`, want: `1:14: the string does not end`},
		{text: `http.path == r#"a"`, want: `1:14: the raw string does not end`},
		{text: `http.path == lower("A")`, want: `a constant is a string in double quotes`},
		{text: `http.path ~ "("`, want: `1:13: the regex cannot be used: `},
		{text: `http.path ~ "[a-z&&[^b]]"`, want: `the regex has && within a class`},
		{text: `http.path ~ "[a[b]]"`, want: `the regex has a class within a class`},
		{text: `http.path.segments.01 == "a"`, want: `1:1: illformed http.path.segments.* field "http.path.segments.01"; use a segment`},
		{text: `http.path.segments.2_2 == "a"`, want: `illformed http.path.segments.* field`},
		{text: strings.Repeat("(", 101) + `http.path == "a"` + strings.Repeat(")", 101), want: `1:101: parentheses nest deeper than 100`},
		{text: strings.Repeat("any(", 101) + `http.path` + strings.Repeat(")", 101) + ` == "a"`, want: `parentheses nest deeper than 100`},
		{family: Stream, text: `http.path == "a"`, want: `1:1: http.path does not exist for the protocols tcp, tls, tls_passthrough and udp; use one of net.protocol`},
	} {
		_, err := Parse(c.text, c.family)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// FuzzParse: what is read can be written and read back the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`http.path ^= "/a" && (http.host == "b" || !(lower(any(http.headers.x)) ~ r#"^\d"#))`,
		`net.src.ip not in 10.0.0.0/8 && net.dst.port >= 0x10 && http.path.segments.0_1 contains "\n"`,
		`tls.sni =^ ".example.com" || net.protocol != "tcp"`, `http.path ~ "[]a[:alpha:]]"`,
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, http bool) {
		family := Stream
		if http {
			family = HTTP
		}
		n, err := Parse(text, family)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Message == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		written := format(n)
		again, err := Parse(written, family)
		if err != nil {
			t.Fatalf("%q as %q: %v", text, written, err)
		}
		if got := format(again); got != written {
			t.Fatalf("%q: %q, then %q", text, written, got)
		}
	})
}

func TestOperatorsAreToldApart(t *testing.T) {
	seen := map[string]bool{}
	for op := Equal; op <= NotIn; op++ {
		seen[op.String()] = true
	}
	if len(seen) != 12 || seen[""] {
		t.Errorf("%v", seen)
	}
}
