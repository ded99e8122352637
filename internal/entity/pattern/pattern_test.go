// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

var errLinear = errors.New("of RE2")

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expr  string
		place Place
		want  string
	}{
		{`/a\d+$`, AtStart, ""},
		{`/a++b`, AtStart, ""},
		{`/(?P<n>a)(?P=n)`, AtStart, ""},
		{`^v(?!1)`, Anywhere, ""},
		{`(`, Anywhere, "invalid regex: '(' (missing closing ): `(`)"},
		{`/a)(b`, AtStart, "invalid regex: '/a)(b' (unexpected ): `/a)(b`)"},
		{`/a\Kb`, AtStart, "invalid regex: '/a\\Kb' (invalid escape sequence: `\\K`; as a pattern of PCRE: \\K is not supported: write the pattern without it)"},
	} {
		got := ""
		if err := Check(c.expr, c.place); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.expr, got, c.want)
		}
	}
}

func TestPCREThatIsNotSupported(t *testing.T) {
	for expr, want := range map[string]string{
		`/(?R)?`: "recursion", `/(a)(?1)`: "recursion", `/(?|a|b)(?=c)`: "(?|", `/a(*SKIP)b`: "verbs", `/a\Kb`: `\K`,
		`/(a)\g{-2}`: "no group", `/\k{none}`: "no group", `/(a++`: "of RE2", `/a\`: "backslash", `/(?#`: "comment", `/\g`: "no group",
	} {
		if _, _, err := Backtracking(expr, AtStart, errLinear); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %s", expr, err, want)
		}
	}
}

// FuzzPCRE: what is converted neither breaks the converter nor means something
// else where both engines take it.
func FuzzPCRE(f *testing.F) {
	for _, p := range []string{`/a++b`, `/(?<n>a)\k{n}`, `/[]a]*+`, `/(?(1)a|b)`, `/\Qa`, `/(?i-s:a)`, `/((a)|b)+?c`, `/a{2}{3}`, `/[[:alpha:]x]`} {
		f.Add(p, "/aab")
	}
	f.Fuzz(func(t *testing.T, expr, path string) {
		if len(expr) > 100 || len(path) > 30 {
			return
		}
		c, err := convertPCRE(expr)
		if err != nil {
			return
		}
		linear, err := regexp.Compile(`^(?:` + expr + `)`)
		if _, alone := regexp.Compile(expr); err != nil || alone != nil || !plainPattern(expr) || !plainPattern(path) {
			return
		}
		back, _, err := Backtracking(expr, AtStart, errLinear)
		if err != nil {
			return
		}
		back.MatchTimeout = 25 * time.Millisecond
		m, err := back.FindStringMatch(path)
		if err != nil {
			return // it took too long
		}
		want, got := linear.FindString(path), ""
		if m != nil {
			got = m.String()
		}
		if got != want || (m != nil) != linear.MatchString(path) {
			t.Errorf("%q as %q on %q takes %q, want %q", expr, c.pattern, path, got, want)
		}
	})
}

// plainPattern leaves out what the two engines read differently in any case.
func plainPattern(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return !strings.ContainsAny(s, `\$^{}`) && !strings.Contains(s, "(?")
}
