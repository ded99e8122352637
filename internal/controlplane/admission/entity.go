// SPDX-License-Identifier: Apache-2.0

package admission

import (
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func (j *judge) vault(o *kongv1alpha1.KongVault) {
	settings, ok := j.class(o, nil)
	if !ok {
		return
	}
	v := j.view(settings, fragment.Owner{Kind: fragment.OwnerVault, Name: o.Name})
	for _, p := range kongcrd.TranslateVault(o, v).Problems {
		switch p.Reason {
		case fragment.ReasonVaultInvalid, fragment.ReasonConflict:
			p.Message = without(p.Message)
			j.decision.refuse(p)
		}
	}
	j.keep(v)
}

// customEntity judges a KongCustomEntity as if its parent plugin were attached
// to a consumer, and an SNI's certificate existed, whether it is yet or not.
func (j *judge) customEntity(o *kongv1alpha1.KongCustomEntity) {
	for _, settings := range j.classes.Ours {
		if o.Spec.ControllerName != settings.Class {
			continue
		}
		v := j.view(settings, fragment.Owner{Kind: fragment.OwnerCustomEntity, Namespace: o.Namespace, Name: o.Name})
		v.attached = o.Namespace
		v.certified = entity.Kind(o.Spec.EntityType) == entity.KindSNI // a certificate contends for its id instead
		for _, p := range kongcrd.TranslateCustomEntity(o, v).Problems {
			switch p.Reason {
			case fragment.ReasonCustomEntityInvalid, fragment.ReasonConflict:
				p.Message = without(p.Message)
				j.decision.refuse(p)
			}
		}
		j.keep(v)
	}
}
