// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
)

// maxMessage bounds a message; the API allows 32768 bytes, nobody reads that much.
const maxMessage = 1024

// verdict is what a policy says.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
}

// policy looks at the facts; ok is false when it has nothing to say.
type policy func(Facts) (v verdict, ok bool)

// setters are the chain of each condition, in the order of v1alpha1.ConditionTypes; Ready is computed from the others.
var setters = map[string]func(Facts) verdict{
	v1alpha1.ConditionAccepted:     accepted,
	v1alpha1.ConditionPaused:       paused,
	v1alpha1.ConditionMeshReady:    meshReady,
	v1alpha1.ConditionAddressReady: addressReady,
	v1alpha1.ConditionRolledOut:    rolledOut,
	v1alpha1.ConditionProgrammed:   programmed,
	v1alpha1.ConditionAvailable:    available,
}

// Set returns all conditions in their fixed order, computed from the facts. before are the conditions as they are, which
// give the time of the last transition where the status stays the same; conditions of other types are kept at the end.
func Set(before []metav1.Condition, facts Facts, now metav1.Time) []metav1.Condition {
	types := v1alpha1.ConditionTypes()
	out := make([]metav1.Condition, 0, len(types))
	for _, t := range types {
		var v verdict
		switch {
		case t == v1alpha1.ConditionReady:
			v = ready(out)
		case t == v1alpha1.ConditionProgrammed && !facts.Fleet.Known:
			v = lastHeard(before, programmed(facts))
		default:
			v = setters[t](facts)
		}
		out = append(out, condition(before, t, v, facts.Generation, now))
	}
	for _, c := range before {
		if !slices.Contains(types, c.Type) {
			out = append(out, c)
		}
	}
	return out
}

func condition(before []metav1.Condition, t string, v verdict, generation int64, now metav1.Time) metav1.Condition {
	c := metav1.Condition{
		Type: t, Status: v.status, Reason: v.reason, Message: clip(v.message),
		ObservedGeneration: generation, LastTransitionTime: now,
	}
	for _, b := range before {
		if b.Type == t && b.Status == v.status {
			c.LastTransitionTime = b.LastTransitionTime
		}
	}
	return c
}

// lastHeard keeps what was last known about the fleet while the stream has not told anything, so that a restart of the
// manager, which loses no traffic, does not turn a working gateway unready.
func lastHeard(before []metav1.Condition, otherwise verdict) verdict {
	for _, b := range before {
		if b.Type == v1alpha1.ConditionProgrammed && otherwise.status == metav1.ConditionUnknown {
			return verdict{b.Status, b.Reason, b.Message}
		}
	}
	return otherwise
}

// readyNeeds are the conditions that Ready is made of, in the order in which it names the first that fails.
var readyNeeds = []string{
	v1alpha1.ConditionAccepted, v1alpha1.ConditionMeshReady, v1alpha1.ConditionAddressReady,
	v1alpha1.ConditionRolledOut, v1alpha1.ConditionProgrammed,
}

// ready is False if one of the needed conditions is, else Unknown if one is, else True.
func ready(all []metav1.Condition) verdict {
	for _, bad := range []metav1.ConditionStatus{metav1.ConditionFalse, metav1.ConditionUnknown} {
		for _, t := range readyNeeds {
			for _, c := range all {
				if c.Type == t && c.Status == bad {
					return verdict{bad, c.Reason, t + ": " + c.Message}
				}
			}
		}
	}
	return yes(v1alpha1.ReasonReady, "the gateway works as its spec says")
}

func first(facts Facts, policies []policy, otherwise verdict) verdict {
	for _, p := range policies {
		if v, ok := p(facts); ok {
			return v
		}
	}
	return otherwise
}

func yes(reason, message string) verdict { return verdict{metav1.ConditionTrue, reason, message} }

func no(reason, message string) (verdict, bool) {
	return verdict{metav1.ConditionFalse, reason, message}, true
}

func unknown(reason, message string) (verdict, bool) {
	return verdict{metav1.ConditionUnknown, reason, message}, true
}

func silent() (verdict, bool) { return verdict{}, false }

// some joins sentences and counts those left out, so that a message stays readable.
func some(sentences []string) string {
	const shown = 3
	if len(sentences) <= shown {
		return strings.Join(sentences, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(sentences[:shown], "; "), len(sentences)-shown)
}

func clip(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	cut := maxMessage - len("…")
	for cut > 0 && message[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return message[:cut] + "…"
}
