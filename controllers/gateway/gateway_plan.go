// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/api/v1alpha1"
	"github.com/kong/kong-istio-gateway/internal/operator/apply"
	"github.com/kong/kong-istio-gateway/internal/operator/condition"
	"github.com/kong/kong-istio-gateway/internal/operator/mesh"
	"github.com/kong/kong-istio-gateway/internal/operator/render"
)

// plan is what one reconcile intends. Making it writes nothing.
type plan struct {
	acceptance condition.Acceptance
	// spec is the one in force, nil when none was ever accepted.
	spec       *v1alpha1.KongIstioGatewaySpec
	resolution mesh.Resolution
	egress     mesh.EgressScope
	objects    []render.Object
	// held says why children are not written yet; empty when they are.
	held string
	// failed says why they could not be rendered.
	failed string
	// replaceClass is an IngressClass of a gateway that is gone: it is deleted first.
	replaceClass *networkingv1.IngressClass
}

// makePlan decides from what was observed. It is pure.
func makePlan(o *observed, settings render.Settings) plan {
	p := plan{}
	gw := o.gateway
	class := judgeClass(gw, o.class, o.classOwnerExists, o.claimants)
	p.acceptance = condition.Acceptance{
		Invalid:      v1alpha1.Validate(gw),
		Unsupported:  v1alpha1.Unsupported(&gw.Spec),
		ClassClaimed: class.refusal,
	}
	generation := gw.Generation
	if p.acceptance.Accepted() {
		p.spec = gw.Spec.DeepCopy()
		p.replaceClass = class.replace
	} else if spec, gen, ok := lastAccepted(o.revisions); ok {
		p.spec, generation = spec, gen
		class = judgeClass(withSpec(gw, spec), o.servingClass, o.servingOwnerExists, nil)
	}
	if p.spec == nil {
		return p
	}
	p.acceptance.Serving = generation
	p.resolution = mesh.Resolve(p.spec.Mesh, mesh.Environment{
		Injectors: o.injectors, Namespace: gw.Namespace, NamespaceLabels: o.namespaceLabels, Running: runningMode(o.deployment),
	})
	p.egress = mesh.Scope(o.routes.Backends, p.resolution.Istiod, settings.ClusterDomain)
	switch {
	case !o.routes.Synced:
		p.held = "waiting until the control plane has read the routes: the egress scope must name their backends before proxies start"
		return p
	case o.caBundle == "":
		p.held = "waiting until the control plane has its certificate authority: proxies cannot connect without it"
		return p
	}
	objects, err := render.Objects(render.Input{
		Name: gw.Name, Namespace: gw.Namespace, UID: gw.UID, Generation: generation, Spec: *p.spec,
		Settings: settings, Mesh: p.resolution, Served: o.served, Egress: p.egress,
		OutboundTrafficPolicy: o.outboundTrafficPolicy, LivePorts: o.livePorts, CABundle: o.caBundle, ClassShared: class.shared,
		AccountUID: accountUID(o.account, o.deployment, o.pods),
	})
	if err != nil {
		p.failed = err.Error()
		return p
	}
	p.objects = objects
	return p
}

func withSpec(gw *v1alpha1.KongIstioGateway, spec *v1alpha1.KongIstioGatewaySpec) *v1alpha1.KongIstioGateway {
	out := *gw
	out.Spec = *spec
	return &out
}

// runningMode is the mode that the live pods were made for, read from the Deployment's template.
func runningMode(d *appsv1.Deployment) v1alpha1.MeshMode {
	switch {
	case d == nil:
		return ""
	case d.Spec.Template.Labels[mesh.LabelInject] == "true":
		return v1alpha1.MeshSidecar
	default:
		return v1alpha1.MeshNone
	}
}

// accountUID is what the pod template says of its ServiceAccount: nothing, until the account is younger than a pod. The
// tokens of such a pod are of an account that is gone; a new template gives every pod one of the new account.
func accountUID(account *corev1.ServiceAccount, d *appsv1.Deployment, pods []corev1.Pod) types.UID {
	marked := ""
	if d != nil {
		marked = d.Spec.Template.Annotations[render.AnnotationAccountUID]
	}
	if account == nil || account.DeletionTimestamp != nil {
		return types.UID(marked)
	}
	outlived := slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.CreationTimestamp.Before(&account.CreationTimestamp) })
	if marked != "" || outlived {
		return account.UID
	}
	return ""
}

// lastAccepted reads the newest record of an accepted spec.
func lastAccepted(revisions []appsv1.ControllerRevision) (*v1alpha1.KongIstioGatewaySpec, int64, bool) {
	if len(revisions) == 0 {
		return nil, 0, false
	}
	newest := slices.MaxFunc(revisions, func(a, b appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Name, b.Name))
	})
	spec := &v1alpha1.KongIstioGatewaySpec{}
	if err := json.Unmarshal(newest.Data.Raw, spec); err != nil {
		return nil, 0, false
	}
	// A record of an older operator lacks members that were added since.
	v1alpha1.SetDefaults(spec)
	return spec, newest.Revision, true
}

// classVerdict is whether a gateway may serve its ingress class.
type classVerdict struct {
	refusal string // who holds it; empty when the gateway may
	shared  bool   // the class is somebody else's object with our controller: only claim it
	replace *networkingv1.IngressClass
}

// judgeClass decides who serves a class: whoever its annotation names, as long as that gateway exists; without a class
// object, the oldest gateway with a valid spec that names it.
func judgeClass(gw *v1alpha1.KongIstioGateway, class *networkingv1.IngressClass, ownerExists bool, claimants []v1alpha1.KongIstioGateway) classVerdict {
	name := gw.Spec.IngressClassName
	if class == nil {
		if holder := oldest(gw, claimants); holder.UID != gw.UID {
			return classVerdict{refusal: claimedBy(name, holder.Namespace+"/"+holder.Name)}
		}
		return classVerdict{}
	}
	if class.Spec.Controller != render.IngressController {
		return classVerdict{refusal: fmt.Sprintf(
			"spec.ingressClassName: IngressClass %s belongs to controller %q; choose another class, or delete that IngressClass", name, class.Spec.Controller)}
	}
	owner, uid := class.Annotations[render.AnnotationOwner], class.Annotations[render.AnnotationOwnerUID]
	ours := apply.BelongsTo(class, gw.UID)
	switch {
	case uid == string(gw.UID) || ours:
		return classVerdict{shared: !ours}
	case uid != "" && ownerExists:
		return classVerdict{refusal: claimedBy(name, owner)}
	case class.Labels[render.LabelGatewayUID] != "" && apply.BelongsTo(class, types.UID(class.Labels[render.LabelGatewayUID])):
		return classVerdict{replace: class}
	default:
		return classVerdict{shared: true}
	}
}

func claimedBy(class, holder string) string {
	return fmt.Sprintf("spec.ingressClassName: class %s is served by KongIstioGateway %s; choose another class, or delete that gateway", class, holder)
}

func oldest(gw *v1alpha1.KongIstioGateway, claimants []v1alpha1.KongIstioGateway) *v1alpha1.KongIstioGateway {
	best := gw
	for i := range claimants {
		c := &claimants[i]
		if c.UID == gw.UID || c.DeletionTimestamp != nil || len(v1alpha1.Validate(c)) > 0 || len(v1alpha1.Unsupported(&c.Spec)) > 0 {
			continue
		}
		if age := c.CreationTimestamp.Compare(best.CreationTimestamp.Time); age < 0 || (age == 0 && c.UID < best.UID) {
			best = c
		}
	}
	return best
}
