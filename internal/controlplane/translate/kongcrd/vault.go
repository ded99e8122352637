// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"

	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// VaultRef names a KongVault. The object's namespace, which people sometimes
// write although the kind has none, is left out.
func VaultRef(v *kongv1alpha1.KongVault) fragment.ObjectRef {
	r := fragment.RefOf(kongv1alpha1.GroupVersion.Group, kongv1alpha1.GroupVersion.Version, kongv1alpha1.KongVaultKind, v)
	r.Namespace = ""
	return r
}

// TranslateVault returns the Kong vault of a KongVault. Of several with the same
// prefix the oldest has it.
func TranslateVault(v *kongv1alpha1.KongVault, refs fragment.Refs) fragment.Result {
	var result fragment.Result
	ref := VaultRef(v)
	owner := fragment.Owner{Kind: fragment.OwnerVault, Name: v.Name}
	claim := fragment.Claim{Scope: fragment.ClaimVaultPrefix, Value: v.Spec.Prefix}
	result.Claims = []fragment.Claim{claim}
	if first, ok := refs.First(claim); ok && first.Owner != owner {
		result.Report(ref, "spec.prefix", fragment.ReasonConflict,
			fmt.Sprintf("spec.prefix %q is duplicate: the older %s %s has it; this vault is left out", v.Spec.Prefix, first.Owner.Kind, first.Owner.Name),
			"create the vault with another prefix, and delete this one")
		return result
	}
	config, bad := decode(v.Spec.Config.Raw, "spec.config", "the configuration of the vault is not a mapping")
	if bad != nil {
		result.Invalid = true
		result.Report(ref, bad.field, fragment.ReasonVaultInvalid, bad.message, "write a mapping of the backend's settings")
		return result
	}
	e := &entity.Vault{
		ID: fragment.ID(entity.KindVault, v.Spec.Prefix), Name: v.Spec.Backend, Prefix: v.Spec.Prefix,
		Description: v.Spec.Description, Config: config, Tags: fragment.Tags(ref, v.Annotations, v.Spec.Tags...),
	}
	if problems := refs.Check(e); len(problems) > 0 {
		result.Invalid = true
		result.Report(ref, vaultField(problems[0].Field), fragment.ReasonVaultInvalid, problems[0].Message+"; the vault is left out", "correct the field")
		return result
	}
	result.Entities = []entity.Entity{e}
	return result
}

// vaultField returns where an object says what an entity's field holds.
func vaultField(field string) string {
	if field == "name" {
		return "spec.backend"
	}
	return "spec." + field
}
