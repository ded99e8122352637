// SPDX-License-Identifier: Apache-2.0

package jsonobject

import (
	"encoding/json"
	"testing"
)

func TestEdits(t *testing.T) {
	o, ok := Parse([]byte(` {"a": 1, "big": 12345678901234567890, "e": [ ], "n": null, "s": "x", "o": {"p": [1]}, "a": 2.0} `))
	if !ok {
		t.Fatal("not an object")
	}
	o.Set("b", String("<&>\"é"))
	for _, name := range []string{"e", "n", "s", "new", "a", "e"} {
		if !o.Append(name, String("v")) {
			t.Errorf("%s: not appended", name)
		}
	}
	if o.Append("o", String("v")) {
		t.Error("appended to an object")
	}
	if !o.Delete("a") || o.Delete("a") || !o.Has("n") || o.Get("none") != nil {
		t.Error("members are not as edited")
	}
	want := `{"big":12345678901234567890,"e":["v","v"],"n":["v"],"s":["x","v"],"o":{"p":[1]},"b":"<&>\"é","new":["v"]}`
	if got := string(o.Encode()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatIsNoObject(t *testing.T) {
	for _, s := range []string{"", "[1]", `"s"`, "null", "12", "{broken", `{"a":1} x`, `{"a":1}{}`} {
		if _, ok := Parse([]byte(s)); ok {
			t.Errorf("%q was taken for an object", s)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"k":"v"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, ok := Parse(data)
		if !ok {
			return
		}
		o.Append("k", String("v"))
		if out := o.Encode(); !json.Valid(out) {
			t.Errorf("%q", out)
		}
	})
}
