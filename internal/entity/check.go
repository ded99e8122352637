// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/entity/schema/typedefs"
)

// CheckEntity returns what is wrong with one sparse entity on its own, without
// looking at others. References are only checked for their form.
func CheckEntity(e Entity, s SchemaSet) []Problem {
	_, problems := completeChecked(e, s)
	return problems
}

// Complete returns a copy of a sparse entity with Kong's defaults filled in,
// and what is wrong with it. The copy is nil when there are problems. A plugin's
// Config and a credential's Fields are completed as well.
func Complete(e Entity, s SchemaSet) (Entity, []Problem) {
	full, problems := completeChecked(e, s)
	if len(problems) > 0 {
		return nil, problems
	}
	return full, nil
}

func completeChecked(e Entity, s SchemaSet) (Entity, []Problem) {
	at := Problem{Key: KeyOf(e), Name: nameOf(e)}
	m := toMap(e)
	r, field, message := s.recordOf(e.EntityKind(), m, credentialTypeOf(e))
	if r == nil {
		at.Field, at.Message = field, message
		return nil, []Problem{at}
	}
	full, violations := r.CompleteChecked(m)
	if at.Key.ID == "" {
		violations = append([]schema.Violation{{Path: "id", Message: "required field missing"}}, violations...)
	}
	if len(violations) > 0 {
		return nil, problemsOf(at, violations)
	}
	out, err := fromMap(e.EntityKind(), credentialTypeOf(e), full)
	if err != nil {
		at.Message = err.Error()
		return nil, []Problem{at}
	}
	completeDerived(out)
	return out, nil
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

// complete is Complete for one concrete type that has no secrets of plugins.
func complete[T Entity](e T) T {
	m := toMap(e)
	r, _, _ := SchemaSet{}.recordOf(e.EntityKind(), m, "")
	out, err := fromMap(e.EntityKind(), "", r.Complete(m))
	if err != nil {
		return e
	}
	completeDerived(out)
	return out.(T)
}

// CompleteService returns a copy of a valid service with Kong's defaults.
func CompleteService(e *Service) *Service { return complete(e) }

// CompleteRoute returns a copy of a valid route with Kong's defaults.
func CompleteRoute(e *Route) *Route { return complete(e) }

// CompleteUpstream returns a copy of a valid upstream with Kong's defaults.
func CompleteUpstream(e *Upstream) *Upstream { return complete(e) }

// CompleteTarget returns a copy of a valid target with Kong's defaults.
func CompleteTarget(e *Target) *Target { return complete(e) }
