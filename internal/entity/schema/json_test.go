// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"math"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

func TestJSONKeepsDigitsAndOrder(t *testing.T) {
	t.Parallel()
	const text = `{"a":"<&>","b":12345678901234567890,"c":[1.50]}`
	v, err := schema.DecodeObject([]byte(" {\"c\":[1.50],\n\"b\":12345678901234567890, \"a\":\"<&>\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := schema.EncodeJSON(v); err != nil || string(got) != text {
		t.Errorf("%s, %v, want %s", got, err, text)
	}
	for _, bad := range []string{"", "[]", `{"a":`, `"a"`} {
		if _, err := schema.DecodeObject([]byte(bad)); err == nil {
			t.Errorf("%q was read as an object", bad)
		}
	}
	if _, err := schema.EncodeJSON(math.NaN()); err == nil {
		t.Error("NaN has a JSON form")
	}
}
