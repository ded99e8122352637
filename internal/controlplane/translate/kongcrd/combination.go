// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

const (
	// maxInstances is how many plugins one object may become by being attached to
	// routes or services and to consumers or groups: the number is the product of
	// the two, so that small objects could fill the memory of every proxy.
	maxInstances = 10_000
	// few consumers or groups multiply what there is anyway by a small number. How
	// much others have is not asked then, so that a change of theirs costs nothing.
	few = 4
)

// claimData returns the data of the claims for a reference: consumers and
// groups tell their ids, routes and services how many they are, and which. It
// reports false where there are none, and so no claims.
func claimData(scope fragment.ClaimScope, attachments []Attachment) (data string, attached bool) {
	if len(attachments) == 0 {
		return "", false
	}
	first := attachments[0]
	switch scope {
	case fragment.ClaimPluginOnConsumer:
		return string(first.Consumer), true
	case fragment.ClaimPluginOnGroup:
		return string(first.ConsumerGroup), true
	}
	return strconv.Itoa(len(attachments)) + " " + string(first.Route) + string(first.Service), true
}

// combinations returns what a plugin's instances of this fragment apply to. A
// plugin that consumers or groups refer to as well applies to these only. Where
// there are more than maxInstances of them, with those of older referrers, it
// returns how many there would be, and none.
func (a *attacher) combinations(ref reference) (list []Attachment, count int) {
	value := ref.key
	refs := a.from.Refs
	attached := func() bool {
		return refs.Claimed(fragment.Claim{Scope: fragment.ClaimPluginOnRoute, Value: value}) ||
			refs.Claimed(fragment.Claim{Scope: fragment.ClaimPluginOnService, Value: value})
	}
	consumers := func() []fragment.Claimant {
		return refs.Claimants(fragment.Claim{Scope: fragment.ClaimPluginOnConsumer, Value: value})
	}
	switch a.scope {
	case fragment.ClaimPluginOnConsumer:
		if attached() {
			return nil, 0 // the routes and services make the instances
		}
		return a.attachments, 0
	case fragment.ClaimPluginOnGroup:
		if attached() || len(consumers()) > 0 {
			return nil, 0
		}
		return a.attachments, 0
	}
	with, set := consumers(), func(at *Attachment, id entity.ID) { at.Consumer = id }
	if len(with) == 0 {
		with = refs.Claimants(fragment.Claim{Scope: fragment.ClaimPluginOnGroup, Value: value})
		set = func(at *Attachment, id entity.ID) { at.ConsumerGroup = id }
	}
	if len(with) == 0 {
		return a.attachments, 0
	}
	if count = a.multiplied(value, len(with)); count > maxInstances {
		return nil, count
	}
	return cross(a.attachments, with, set), count
}

// multiplied returns how many instances a plugin would have on this and all older
// routes and services, with so many consumers or groups: the oldest keep theirs
// when there are too many.
func (a *attacher) multiplied(value string, with int) int {
	here := len(a.attachments)
	if with <= few || here*with > maxInstances || here == 0 {
		return here * with
	}
	mine, _ := claimData(a.scope, a.attachments)
	older := 0
	for _, scope := range []fragment.ClaimScope{fragment.ClaimPluginOnRoute, fragment.ClaimPluginOnService} {
		for _, c := range a.from.Refs.Claimants(fragment.Claim{Scope: scope, Value: value}) {
			if c.Data == mine {
				return (older + here) * with
			}
			number, _, _ := strings.Cut(c.Data, " ")
			if n, _ := strconv.Atoi(number); (older+n)*with <= maxInstances {
				older += n // else it has none
			}
		}
	}
	return (older + here) * with
}

func cross(attachments []Attachment, with []fragment.Claimant, set func(*Attachment, entity.ID)) []Attachment {
	out := make([]Attachment, 0, len(attachments)*len(with))
	for _, at := range attachments {
		for _, c := range with {
			set(&at, entity.ID(c.Data))
			out = append(out, at)
		}
	}
	return out
}

// tooMany deals with a plugin that would have too many instances: its routes and
// services are not to be open.
func (a *attacher) tooMany(ref reference, count int) {
	a.reportOnce(fragment.ReasonPluginUnusable,
		fmt.Sprintf("%q would become %d plugins, one for each route and consumer or group that it is attached to, with those of older objects; %d are possible; %s",
			ref.name, count, maxInstances, a.from.consequence()),
		"attach it to fewer consumers, for example to their group instead, or to fewer routes")
	for _, at := range a.attachments {
		a.mark(at)
	}
}
