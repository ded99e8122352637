// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// Reasons of events: those of Kong's ingress controller, so that what watches
// for them goes on working.
const (
	eventTranslationFailed = "KongConfigurationTranslationFailed"
	eventApplyFailed       = "KongConfigurationApplyFailed"
)

// reporter is the name under which events are recorded.
const reporter = "kong-istio-gateway"

// settleTime is how long a problem must last before an event tells of it:
// objects that are applied together refer to each other before all are there.
const settleTime = time.Second

// notices keeps which problems events have told of, so that each is told once
// for as long as it lasts, whichever gateways have it. ControlPlane.mu guards
// it.
type notices struct {
	gateways map[fragment.Problem]int       // how many have it
	since    map[fragment.Problem]time.Time // of those not told of yet
}

func newNotices() notices {
	return notices{gateways: make(map[fragment.Problem]int), since: make(map[fragment.Problem]time.Time)}
}

// add notes that one more gateway has a problem.
func (n *notices) add(p fragment.Problem, now time.Time) {
	if n.gateways[p]++; n.gateways[p] == 1 {
		n.since[p] = now
	}
}

// remove notes that one gateway does not have a problem any more.
func (n *notices) remove(p fragment.Problem) {
	if n.gateways[p]--; n.gateways[p] <= 0 {
		delete(n.gateways, p)
		delete(n.since, p)
	}
}

// due returns the problems to tell of now, and when to look again, zero for not
// before something changes.
func (n *notices) due(now time.Time) (tell []fragment.Problem, again time.Duration) {
	for p, since := range n.since {
		if wait := settleTime - now.Sub(since); wait > 0 {
			if again == 0 || wait < again {
				again = wait
			}
			continue
		}
		delete(n.since, p)
		tell = append(tell, p)
	}
	return tell, again
}

// tell looks for problems to tell of.
func (c *ControlPlane) tell() {
	tell, again := c.notices.due(time.Now())
	for _, p := range tell {
		c.events.Add(p)
	}
	if again > 0 {
		time.AfterFunc(again, c.wake)
	}
}

// writeEvent records a Warning. An event that there is already, from before the
// problem was put right or from a manager before this one, is shown to be seen
// again only when this manager wrote it: a restart writes nothing.
func (c *ControlPlane) writeEvent(ctx context.Context, p fragment.Problem) error {
	event := eventOf(p, time.Now())
	key := client.ObjectKeyFromObject(event)
	count := c.recorded.next(key)
	err := c.config.Writer.Create(ctx, event)
	if apierrors.IsAlreadyExists(err) && count > 1 {
		err = c.repeatEvent(ctx, event, count)
	}
	switch {
	case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	}
	if ctx.Err() == nil {
		c.log.Error("Recording an event failed; it is tried again", "object", p.Object.String(), "error", err)
	}
	c.recorded.undo(key)
	return err
}

func (c *ControlPlane) repeatEvent(ctx context.Context, event *eventsv1.Event, count int32) error {
	patch, err := json.Marshal(map[string]any{"series": eventsv1.EventSeries{Count: count, LastObservedTime: event.EventTime}})
	if err != nil {
		return err
	}
	return c.config.Writer.Patch(ctx, event, client.RawPatch(types.MergePatchType, patch))
}

// eventOf returns the event of a problem. Its name follows from what it says.
func eventOf(p fragment.Problem, now time.Time) *eventsv1.Event {
	reason := eventTranslationFailed
	switch p.Reason {
	case reasonRejected, reasonScopePending, reasonScopeFrozen, reasonProxyError:
		reason = eventApplyFailed
	}
	digest := sha256.Sum256([]byte(strings.Join([]string{
		p.Object.Group, p.Object.Kind, string(p.Object.UID), p.Field, p.Reason, p.Message, p.Fix,
	}, "\x00")))
	name := p.Object.Name
	if len(name) > maxEventName {
		name = strings.TrimRight(name[:maxEventName], ".-")
	}
	instance := reporter
	if host, err := os.Hostname(); err == nil {
		instance += "-" + host
	}
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cmp.Or(p.Object.Namespace, metav1.NamespaceDefault), Name: name + "." + hex.EncodeToString(digest[:8]),
		},
		EventTime: metav1.NewMicroTime(now), ReportingController: reporter, ReportingInstance: cut(instance, 128),
		Type: corev1.EventTypeWarning, Reason: reason, Action: p.Reason, Note: note(p), Regarding: reference(p),
	}
}

// maxEventName leaves room for the digest in a name of 253 bytes.
const maxEventName = 230

// maxNote is how long the API server lets an event's note be.
const maxNote = 1024

// note is the text of a problem: field, what is wrong, what to do.
func note(p fragment.Problem) string {
	text := p.Message
	if p.Fix != "" {
		text += " (" + p.Fix + ")"
	}
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	if len(text) > maxNote {
		text = cut(text, maxNote-len("...")) + "..."
	}
	return text
}

// cut returns at most limit bytes of text, whole characters.
func cut(text string, limit int) string {
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// reference names the object of an event, and the field.
func reference(p fragment.Problem) corev1.ObjectReference {
	version := p.Object.Version
	if p.Object.Group != "" {
		version = fmt.Sprintf("%s/%s", p.Object.Group, p.Object.Version)
	}
	return corev1.ObjectReference{
		APIVersion: version, Kind: p.Object.Kind, Namespace: p.Object.Namespace, Name: p.Object.Name, UID: p.Object.UID, FieldPath: p.Field,
	}
}

// recorded counts how often this manager recorded an event. It is used by one
// goroutine.
type recorded map[types.NamespacedName]int32

// maxRecorded bounds how many events are remembered.
const maxRecorded = 4096

func (r recorded) next(key types.NamespacedName) int32 {
	if len(r) >= maxRecorded {
		clear(r)
	}
	r[key]++
	return r[key]
}

func (r recorded) undo(key types.NamespacedName) { r[key]-- }
