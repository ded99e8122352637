// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Attachment is what a plugin instance applies to; fields that are empty do
// not restrict it.
type Attachment struct {
	Service       entity.ID
	Route         entity.ID
	Consumer      entity.ID
	ConsumerGroup entity.ID
	// Protocols are those of the route, or of the service's routes; none stands
	// for http and https.
	Protocols []entity.Protocol
}

// key is unique for an attachment.
func (a Attachment) key() string {
	return string(a.Service) + "|" + string(a.Route) + "|" + string(a.Consumer) + "|" + string(a.ConsumerGroup)
}

// Referrer is an object whose plugins annotation is followed.
type Referrer struct {
	Object      fragment.ObjectRef
	Annotations map[string]string
	Refs        fragment.Refs
	// Stream is true for what has stream routes.
	Stream bool
}

// reference is one entry of a plugins annotation.
type reference struct {
	name  string // as written
	owner fragment.Owner
	key   string // of the claims, see referenceKey
	facts fragment.PluginFacts
	why   string // why there is no usable version, "" if there is one
	// denied is true when no ReferenceGrant permits the reference.
	denied bool
}

// Attach adds the plugins that from's annotation names to the result, one
// instance for each combination with the attachments, and the claim that tells
// others about the reference. Only a scope of consumers or groups restricts a
// plugin further: routes and services are never combined.
//
// A reference without a usable plugin becomes a plugin that answers 500, so that
// nothing runs without the protection that was asked for.
func Attach(from Referrer, scope fragment.ClaimScope, attachments []Attachment, result *fragment.Result) {
	list := from.references(result)
	if len(list) == 0 {
		return
	}
	data, attached := claimData(scope, attachments)
	for _, ref := range list {
		if attached && !ref.denied { // who may not refer to a plugin has no say in where it runs
			result.Claims = append(result.Claims, fragment.Claim{Scope: scope, Value: ref.key, Data: data})
		}
	}
	a := attacher{from: from, scope: scope, attachments: attachments, result: result, taken: make(map[slot]string)}
	for _, ref := range list {
		if ref.why != "" {
			a.broken(ref)
		}
	}
	for _, ref := range list {
		if ref.why == "" {
			a.plugin(ref)
		}
	}
}

// referenceKey is the value of the claims for references to a plugin. A
// KongClusterPlugin is referred to from many namespaces; as in Kong's ingress
// controller the references of one do not restrict those of another.
func referenceKey(plugin fragment.Owner, namespace string) string {
	if plugin.Namespace == "" {
		return plugin.String() + "|" + namespace
	}
	return plugin.String()
}

// references follows the annotation.
func (from Referrer) references(result *fragment.Result) []reference {
	var list []reference
	for _, name := range fragment.Unique(fragment.List(from.Annotations[fragment.AnnotationPlugins])) {
		ref := from.resolve(name)
		ref.key = referenceKey(ref.owner, from.Object.Namespace)
		if ref.why != "" {
			reason, fix := fragment.ReasonPluginUnusable, "correct the plugin, or remove the reference"
			switch {
			case ref.denied:
				reason, fix = fragment.ReasonRefNotPermitted, "create a ReferenceGrant there, or remove the reference"
			case !ref.facts.Exists:
				reason = fragment.ReasonPluginNotFound
			}
			result.Report(from.Object, fragment.AnnotationField(fragment.AnnotationPlugins), reason, ref.why+"; "+from.consequence(), fix)
		}
		list = append(list, ref)
	}
	return list
}

// consequence says what an unusable reference leads to.
func (from Referrer) consequence() string {
	switch without := from.Refs.Settings().RunWithoutBrokenPlugins; {
	case from.Stream && without:
		return "sessions are served without it"
	case from.Stream:
		return "sessions that it would apply to are closed"
	case without:
		return "requests are served without it"
	}
	return "requests that it would apply to are answered with 500"
}

// resolve finds a plugin by the name in an annotation: a KongPlugin of the
// referrer's namespace, else a KongClusterPlugin; "namespace:name" names a
// KongPlugin elsewhere, which a ReferenceGrant must permit.
func (from Referrer) resolve(name string) reference {
	ref := reference{name: name}
	if namespace, plugin, found := strings.Cut(name, ":"); found {
		ref.owner = PluginOwner(namespace, plugin)
		granted := namespace == from.Object.Namespace || from.Refs.Granted(
			fragment.GrantFrom{Group: from.Object.Group, Kind: from.Object.Kind, Namespace: from.Object.Namespace},
			fragment.GrantTo{Group: kongv1.GroupVersion.Group, Kind: kindPlugin, Namespace: namespace, Name: plugin})
		if !granted {
			ref.denied = true
			ref.why = fmt.Sprintf("no ReferenceGrant in namespace %s permits the reference to KongPlugin %s", namespace, plugin)
			return ref
		}
		ref.facts = from.Refs.Plugin(namespace, plugin)
		ref.explain(fmt.Sprintf("KongPlugin %s/%s does not exist", namespace, plugin))
		return ref
	}
	if from.Object.Namespace != "" {
		ref.owner = PluginOwner(from.Object.Namespace, name)
		ref.facts = from.Refs.Plugin(from.Object.Namespace, name)
		if ref.facts.Exists {
			ref.explain("")
			return ref
		}
	}
	ref.owner = PluginOwner("", name)
	ref.facts = from.Refs.Plugin("", name)
	ref.explain(fmt.Sprintf("referenced KongPlugin or KongClusterPlugin %q does not exist", name))
	return ref
}

func (r *reference) explain(absent string) {
	switch {
	case r.facts.Template != nil:
	case r.facts.Exists:
		r.why = r.facts.Object.String() + " has no usable version: " + fragment.Cut(r.facts.Why, maxViolation)
	default:
		r.why = absent
	}
}

// attacher makes plugin instances.
type attacher struct {
	from        Referrer
	scope       fragment.ClaimScope
	attachments []Attachment
	result      *fragment.Result
	// taken tells who has a slot: "" is the marker of a broken reference.
	taken map[slot]string
}

// slot is where there is one plugin of a type: an attachment, by its key.
type slot struct{ plugin, attachment string }

// plugin adds the instances of one usable reference.
func (a *attacher) plugin(ref reference) {
	list, count := a.combinations(ref)
	if count > maxInstances {
		a.tooMany(ref, count)
		return
	}
	source := ref.owner.String()
	for _, at := range list {
		s := slot{ref.facts.Template.Name, at.key()}
		if holder, taken := a.taken[s]; taken {
			if holder != "" {
				a.reportTwice(ref, holder)
			}
			continue
		}
		a.taken[s] = ref.name
		p := instance(ref.facts.Template, source, at, s.attachment)
		if problems := fragment.CheckInstance(a.from.Refs, ref.facts.Template, p); len(problems) > 0 {
			a.misplaced(ref, at, problems[0].Field+": "+problems[0].Message,
				"remove the reference, here or on the consumer or group that refers to the same plugin")
			continue
		}
		if at.Route != "" || at.Service != "" {
			if runs, guards := a.from.Refs.Runs(p, at.Protocols); !runs {
				a.elsewhere(ref, at, guards)
				continue
			}
		}
		a.result.Entities = append(a.result.Entities, p)
	}
}

// misplaced deals with a plugin that cannot be attached here, such as an
// authentication plugin on a consumer. Where that leaves a route or service
// without it, all of its requests are answered with 500.
func (a *attacher) misplaced(ref reference, at Attachment, why, fix string) {
	consequence := "it is not applied"
	if at.Route != "" || at.Service != "" {
		consequence = a.from.consequence()
		a.mark(Attachment{Route: at.Route, Service: at.Service, Protocols: at.Protocols})
	}
	a.reportOnce(fragment.ReasonPluginUnusable,
		fmt.Sprintf("%q, of type %s, cannot be attached here: %s; %s", ref.name, ref.facts.Template.Name, why, consequence), fix)
}

// elsewhere deals with a plugin that runs on none of the protocols here. Only
// one that guards what it is attached to is missed.
func (a *attacher) elsewhere(ref reference, at Attachment, guards bool) {
	protocols := "http, https"
	if len(at.Protocols) > 0 {
		names := make([]string, len(at.Protocols))
		for i, p := range at.Protocols {
			names[i] = string(p)
		}
		protocols = strings.Join(names, ", ")
	}
	if !guards {
		at.Route, at.Service = "", ""
	}
	a.misplaced(ref, at, "it does not run on "+protocols, "use a plugin for these protocols, or remove the reference")
}

func (a *attacher) reportTwice(ref reference, holder string) {
	a.reportOnce(fragment.ReasonConflict,
		fmt.Sprintf("%q and %q are both of type %s; %q is not applied", holder, ref.name, ref.facts.Template.Name, ref.name),
		"name one plugin of a type")
}

// reportOnce reports what is the same for every route of an object.
func (a *attacher) reportOnce(reason, message, fix string) {
	field := fragment.AnnotationField(fragment.AnnotationPlugins)
	for _, p := range a.result.Problems {
		if p.Field == field && p.Message == message {
			return
		}
	}
	a.result.Report(a.from.Object, field, reason, message, fix)
}

// broken answers 500 where the plugin would have applied, before every other
// plugin: nothing is to be counted, cached or answered without the missing one.
//
// Routes and services answer so to everyone, also when consumers refer to the
// same plugin: what is missing may be the very plugin that tells them apart. A
// consumer or group whose reference is denied is answered so by itself: nobody
// else's reference stands for it.
func (a *attacher) broken(ref reference) {
	list := a.attachments
	if !ref.denied && (a.scope == fragment.ClaimPluginOnConsumer || a.scope == fragment.ClaimPluginOnGroup) {
		list, _ = a.combinations(ref)
	}
	for _, at := range list {
		a.mark(at)
	}
}

// mark adds the plugin that answers 500, unless the gateway's settings say to
// run without broken plugins.
func (a *attacher) mark(at Attachment) {
	marker := entity.Unusable(at.Consumer != "" || at.ConsumerGroup != "")
	marker.Tags = fragment.Tags(a.from.Object, nil)
	s := slot{marker.Name, at.key()}
	if _, taken := a.taken[s]; taken || a.from.Refs.Settings().RunWithoutBrokenPlugins {
		return
	}
	a.taken[s] = ""
	a.result.Entities = append(a.result.Entities, instance(&marker, "broken", at, s.attachment))
}

// instance returns a plugin of the template for one attachment, whose key is
// given. Its id follows from the object and the attachment; a user's
// instance_name gets a suffix that keeps it unique.
func instance(template *entity.Plugin, source string, at Attachment, key string) *entity.Plugin {
	p := *template
	p.ID = fragment.ID(entity.KindPlugin, source+"|"+key)
	if p.InstanceName != "" {
		sum := sha256.Sum256([]byte(key))
		p.InstanceName += "-" + hex.EncodeToString(sum[:])[:9]
	}
	p.Service, p.Route = refTo(at.Service), refTo(at.Route)
	p.Consumer, p.ConsumerGroup = refTo(at.Consumer), refTo(at.ConsumerGroup)
	return &p
}

func refTo(id entity.ID) *entity.Ref {
	if id == "" {
		return nil
	}
	return &entity.Ref{ID: id}
}
