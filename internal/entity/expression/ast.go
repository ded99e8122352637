// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Node is a part of an expression: And, Or, Not or *Predicate.
type Node interface{ node() }

// And is true when all of its terms are, which are looked at from the left
// until one is not. There are at least two.
type And []Node

// Or is true when one of its terms is, which are looked at from the left until
// one is. There are at least two.
type Or []Node

// Not is true when its node is not.
type Not struct{ Node Node }

// Predicate compares a field with a constant. A field without a value makes it
// false, whatever the operator. Of a field with several values all must compare,
// or with Any one of them.
type Predicate struct {
	Field Field
	Lower bool // the values in lower case are compared
	Any   bool
	Op    Op

	// The constant; which of these is set follows from the field's type and the
	// operator.
	Text   string
	Int    int64
	Prefix netip.Prefix // an address is a prefix of one
	Regexp *regexp.Regexp

	Offset int // where it begins in the text, in bytes
}

func (And) node()        {}
func (Or) node()         {}
func (Not) node()        {}
func (*Predicate) node() {}

// Op is an operator of a predicate.
type Op uint8

// The operators, which Kong writes == != ~ ^= =^ contains, > >= < <=, in and
// not in.
const (
	Equal Op = iota
	NotEqual
	Match
	HasPrefix
	HasSuffix
	Contains
	Greater
	GreaterOrEqual
	Less
	LessOrEqual
	In
	NotIn
)

var opTexts = [...]string{
	Equal: "==", NotEqual: "!=", Match: "~", HasPrefix: "^=", HasSuffix: "=^", Contains: "contains",
	Greater: ">", GreaterOrEqual: ">=", Less: "<", LessOrEqual: "<=", In: "in", NotIn: "not in",
}

// String is the operator as it is written.
func (o Op) String() string { return opTexts[o] }

// opOrder is the order in which operators are recognised: none before a longer
// one that begins like it.
var opOrder = []Op{
	Equal, NotEqual, Match, HasPrefix, HasSuffix, GreaterOrEqual, Greater, LessOrEqual, Less, In, Contains,
}

// String is the predicate as Parse reads it.
func (n *Predicate) String() string {
	left := n.Field.String()
	if n.Lower {
		left = "lower(" + left + ")"
	}
	if n.Any {
		left = "any(" + left + ")"
	}
	return left + " " + n.Op.String() + " " + n.constant()
}

func (n *Predicate) constant() string {
	switch {
	case n.Field.Kind.valueType() == intType:
		return strconv.FormatInt(n.Int, 10)
	case n.Field.Kind.valueType() == textType:
		return `"` + escaper.Replace(n.Text) + `"`
	case n.Op == In || n.Op == NotIn:
		return n.Prefix.String()
	}
	return n.Prefix.Addr().String()
}

var escaper = strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
