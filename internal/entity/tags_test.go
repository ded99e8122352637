// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"reflect"
	"slices"
	"testing"
)

// Every kind that a Set holds has tags, and Tags finds them.
func TestTagsOfEveryKind(t *testing.T) {
	for list := range reflect.TypeFor[Set]().Fields() {
		value := reflect.New(list.Type.Elem().Elem())
		e, ok := value.Interface().(Entity)
		if !ok {
			t.Fatalf("%s holds no entities", list.Name)
		}
		if got := Tags(e); got != nil {
			t.Errorf("%s without tags: %q", list.Name, got)
		}
		want := []string{"of", list.Name}
		value.Elem().FieldByName("Tags").Set(reflect.ValueOf(want))
		if got := Tags(e); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", list.Name, got, want)
		}
	}
}
