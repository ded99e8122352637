// SPDX-License-Identifier: Apache-2.0

package form

import (
	"testing"
)

func TestUrlencoded(t *testing.T) {
	for raw, want := range map[string]string{
		"":                     "",
		"z=1&b=2&a=3":          "a=3&b=2&z=1",
		"x=%20a+b&flag":        "flag&x=%20a%20b",
		"a=2&&a=1":             "a=2&a=1",
		"e=%zz&p=(1)!'*~-._/?": "e=%25zz&p=(1)!'*~-._%2F%3F",
		"%C3%A4=%26":           "%C3%A4=%26",
	} {
		if got := Parse(raw).Sorted().Encode(); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
	args := Parse("a=1&b=2&a=3&A=4")
	if v := args.Values("a"); len(v) != 2 || v[1].Value != "3" || !args.Has("A") || args.Has("c") {
		t.Errorf("%v", args)
	}
	if got := args.Without("a").Encode(); got != "b=2&A=4" {
		t.Error(got)
	}
}

func TestRemoveLeavesTheOthersEncoding(t *testing.T) {
	for raw, want := range map[string]string{
		"a=1&a=2&key=k&b=x+y&c=%2F": "a=1&a=2&b=x+y&c=%2F",
		"a&key=k&b=":                "a=&b=",
		"%6bey=k":                   "",
		"key":                       "",
	} {
		if got := Remove(raw, "key"); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

const contentType = "multipart/form-data; boundary=BB"

const file = "Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nfi\r\nle\r\n"

func TestMultipart(t *testing.T) {
	body := "--BB\r\n" + file + "--BB\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--BB--\r\n"
	m, ok := ParseMultipart(contentType, []byte(body))
	if !ok || string(m.Encode()) != body {
		t.Fatalf("a body that was not edited has changed (%t)", ok)
	}
	m.Set("a", "2")
	m.Set("q\"\r\nX: y", "3")
	want := "--BB\r\n" + file + "--BB\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n" +
		"--BB\r\nContent-Disposition: form-data; name=\"q\\\"X: y\"\r\n\r\n3\r\n--BB--\r\n"
	if got := string(m.Encode()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.Delete("f")
	if m.Has("f") || m.Values("a")[0] != "2" {
		t.Errorf("%q", m.Encode())
	}
}

func TestWhatIsNoMultipart(t *testing.T) {
	for _, c := range [][2]string{{"text/plain", ""}, {"multipart/form-data", ""}, {contentType, "--BB\r\nunfinished"}, {contentType, "nothing"}} {
		if _, ok := ParseMultipart(c[0], []byte(c[1])); ok {
			t.Errorf("%v was taken", c)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a=1&b&%zz=+")
	f.Add("--BB\r\n" + file + "--BB--\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		sorted := Parse(s).Sorted().Encode()
		if again := Parse(sorted).Sorted().Encode(); again != sorted {
			t.Errorf("%q, encoded again %q", sorted, again)
		}
		Remove(s, "a")
		if m, ok := ParseMultipart(contentType, []byte(s)); ok {
			m.Set("a", "b")
			if again, ok := ParseMultipart(contentType, m.Encode()); !ok || again.Values("a")[0] != "b" {
				t.Errorf("%q was not read again", m.Encode())
			}
		}
	})
}
