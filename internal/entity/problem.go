// SPDX-License-Identifier: Apache-2.0

package entity

import (
	"fmt"
	"strings"
)

// Problem is one reason why an entity, or a document, cannot be used. It holds
// no secrets and is safe to show to users.
type Problem struct {
	// Key is the entity at fault; its ID is empty when it could not be told.
	Key Key
	// Name is what people call the entity: its name, username, prefix, …
	Name string
	// Path leads to the entity in a document, as in
	// "services[0].routes[1]"; empty outside of documents.
	Path string
	// Field leads from the entity to the field, as in "config.minute". It ends
	// in "@entity" when several fields together are at fault.
	Field string
	// Line and Column are the position in a document, counted from one; zero
	// outside of documents.
	Line, Column int
	// Message says what is wrong, in Kong's words where Kong has any.
	Message string
}

// Error implements error: "line 7: services[0].routes[1] 'r': paths[0]: …".
func (p Problem) Error() string {
	var parts []string
	if p.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", p.Line))
	}
	entity := p.Path
	if entity == "" {
		entity = string(p.Key.Kind)
	}
	if p.Name != "" {
		entity = strings.TrimSpace(entity + " '" + p.Name + "'")
	} else if p.Path == "" && p.Key.ID != "" {
		entity += " " + string(p.Key.ID)
	}
	for _, s := range []string{entity, p.Field, p.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// NameOf returns what people call an entity: its name, username, prefix, … It is
// never a secret, and "" for kinds without names.
func NameOf(e Entity) string {
	switch e := e.(type) {
	case *Service:
		return e.Name
	case *Route:
		return e.Name
	case *Upstream:
		return e.Name
	case *Target:
		return e.Target
	case *Plugin:
		return e.Name
	case *Consumer:
		if e.Username == "" {
			return e.CustomID
		}
		return e.Username
	case *ConsumerGroup:
		return e.Name
	case *Credential:
		return e.Type
	case *SNI:
		return e.Name
	case *Vault:
		return e.Prefix
	}
	return ""
}

// Problems is a list of problems as one error.
type Problems []Problem

// Error returns one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}
