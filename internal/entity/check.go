// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"sync"

	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// CheckEntity returns what is wrong with one sparse entity on its own, without
// looking at others. References are only checked for their form.
func CheckEntity(e Entity, s SchemaSet) []Problem {
	m, _ := scratch.Get().(map[string]any)
	defer func() {
		clear(m)
		scratch.Put(m)
	}()
	return fillChecked(m, e, s, (*schema.Record).CheckOwned)
}

// scratch holds empty maps for entities that are only checked.
var scratch = sync.Pool{New: func() any { return make(map[string]any) }}

// Complete returns a copy of a sparse entity with Kong's defaults filled in. A
// plugin's Config and a credential's Fields are completed as well. The error
// holds Problems when the entity is not valid.
func Complete(e Entity, s SchemaSet) (Entity, error) {
	full, problems := completeChecked(e, s)
	if len(problems) > 0 {
		return nil, Problems(problems)
	}
	return full, nil
}

// CompleteSet returns a Set of completed entities, in the same order. The error
// holds the Problems of all of them; relations between them are not looked at.
func CompleteSet(set *Set, s SchemaSet) (*Set, error) {
	out := new(Set)
	var problems Problems
	for e := range set.All() {
		full, found := completeChecked(e, s)
		if problems = append(problems, found...); len(found) == 0 {
			out.Add(full)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return out, nil
}

func completeChecked(e Entity, s SchemaSet) (Entity, []Problem) {
	full := make(map[string]any)
	if problems := fillChecked(full, e, s, (*schema.Record).CompleteOwned); len(problems) > 0 {
		return nil, problems
	}
	out, err := fromMap(e.EntityKind(), credentialTypeOf(e), full)
	if err != nil {
		return nil, []Problem{{Key: KeyOf(e), Name: NameOf(e), Message: err.Error()}}
	}
	completeDerived(out)
	return out, nil
}

// fillChecked puts an entity's fields, as the schemas see them, into an empty map
// and returns what check finds wrong with them.
func fillChecked(m map[string]any, e Entity, s SchemaSet, check func(*schema.Record, map[string]any) []schema.Violation) []Problem {
	at := Problem{Key: KeyOf(e), Name: NameOf(e)}
	fillMap(m, e)
	s.fill(e.EntityKind(), m)
	r, field, message := s.recordOf(e.EntityKind(), m, credentialTypeOf(e))
	if r == nil {
		at.Field, at.Message = field, message
		return []Problem{at}
	}
	violations := check(r, m)
	if at.Key.ID == "" {
		violations = append([]schema.Violation{{Path: "id", Message: "required field missing"}}, violations...)
	}
	if len(violations) > 0 {
		return problemsOf(at, violations)
	}
	return nil
}

// completeDerived fills fields whose values follow from others.
func completeDerived(e Entity) {
	switch e := e.(type) {
	case *CACertificate:
		e.CertDigest = digest(e.Cert)
	case *Target:
		if a, ok := typedefs.ParseAddress(e.Target); ok && !a.HasPort {
			e.Target = a.WithPort(defaultTargetPort)
		}
	}
}

// defaultTargetPort is the port of targets that name none.
const defaultTargetPort = 8000

func problemsOf(at Problem, violations []schema.Violation) []Problem {
	problems := make([]Problem, len(violations))
	for i, v := range violations {
		problems[i] = at
		problems[i].Field, problems[i].Message = v.Path, v.Message
	}
	return problems
}
