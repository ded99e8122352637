// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// rig is a Layer whose world can be changed.
type rig struct {
	*Layer
	environment map[string]string
	root        string
	now         time.Time
	log         bytes.Buffer
}

func newRig(t *testing.T, isolated bool) *rig {
	t.Helper()
	schemas, err := entity.NewSchemaSet(
		entity.PluginSchema{Name: "teller", Config: schema.NewRecord(
			schema.String("open"),
			schema.String("secret").Secret().Referenceable(),
			typedefs.URL("endpoint").Referenceable(),
			schema.Map("headers", schema.String(""), schema.String("").Referenceable()),
		)},
		entity.PluginSchema{Name: "unusable", Config: schema.NewRecord()},
	)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{environment: map[string]string{}, root: t.TempDir(), now: time.Unix(1_700_000_000, 0)}
	r.Layer = New(Options{
		Settings: Settings{Root: r.root, Interval: time.Minute, Isolation: isolated},
		Schemas:  schemas, Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
		Lookup: func(name string) (string, bool) { v, ok := r.environment[name]; return v, ok },
		Now:    func() time.Time { return r.now },
	})
	return r
}

// uuid is an id that ends in a letter, and letter is that.
func uuid(letter string) entity.ID {
	return entity.ID(fmt.Sprintf("00000000-0000-4000-8000-%012x", letter[0]))
}

func letter(id entity.ID) string {
	n, _ := strconv.ParseUint(string(id[len(id)-2:]), 16, 8)
	return string(rune(n))
}

func teller(id, secret string, tags ...string) *entity.Plugin {
	return &entity.Plugin{ID: uuid(id), Name: "teller", Route: &entity.Ref{ID: uuid("r")}, Tags: tags, Config: map[string]any{"open": "o", "secret": secret}}
}

// told returns the secrets of the plugins in a change, by id; "-" stands for a
// plugin that answers 500.
func told(d entity.Delta) map[string]string {
	out := map[string]string{}
	for _, e := range d.Put {
		p, ok := e.(*entity.Plugin)
		switch {
		case !ok:
			out[letter(e.EntityID())] = string(e.EntityKind())
		case p.Name != "teller":
			out[letter(p.ID)] = "-"
		default:
			out[letter(p.ID)], _ = p.Config["secret"].(string)
		}
	}
	return out
}

func (r *rig) want(t *testing.T, d entity.Delta, want map[string]string, problems ...string) {
	t.Helper()
	if got := told(d); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var got []string
	for _, p := range r.Problems() {
		got = append(got, p.Error())
	}
	if len(got) != len(problems) {
		t.Fatalf("problems %q, want %q", got, problems)
	}
	for i := range problems {
		if !strings.Contains(got[i], problems[i]) {
			t.Errorf("problem %q, want %q", got[i], problems[i])
		}
	}
}

func put(all ...entity.Entity) entity.Delta { return entity.Delta{Put: all} }
