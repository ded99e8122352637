// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"strings"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
)

// Beginnings of messages, as Kong's ingress controller words them.
const (
	textSchema = "plugin failed schema validation: "
	textSecret = "could not load secret plugin configuration: "
	textParse  = "could not parse plugin configuration: "
)

func (j *judge) plugin(p *kongv1.KongPlugin) {
	if !j.concerns(func(u *users) bool { return u.plugin(p.Namespace, p.Name) }) {
		return
	}
	v := j.view(j.classes.Ours[0], fragment.Owner{})
	j.judgePlugin(kongcrd.TranslatePlugin(p, v), v)
}

func (j *judge) clusterPlugin(p *kongv1.KongClusterPlugin) {
	settings, ok := j.class(p, nil)
	if !ok {
		return
	}
	v := j.view(settings, fragment.Owner{Kind: fragment.OwnerGlobalPlugin, Name: p.Name})
	j.judgePlugin(kongcrd.TranslateClusterPlugin(p, v), v)
	if !kongcrd.IsGlobal(p) {
		return
	}
	for _, problem := range kongcrd.TranslateGlobal(p, v).Problems {
		j.decision.warn(problem) // as in Kong, two global ones of a type cancel each other
	}
	j.keep(v)
}

// judgePlugin judges by a plugin's translation.
func (j *judge) judgePlugin(result fragment.Result, v *view) {
	for _, p := range result.Problems {
		switch {
		case p.Reason == fragment.ReasonEndpointRefused:
			j.decision.warn(p)
		case p.Reason == fragment.ReasonPluginUnknown:
			p.Message = textSchema + p.Message
			j.decision.refuse(p)
		case strings.HasPrefix(p.Message, textSchema):
			j.decision.refuse(p)
		case strings.HasPrefix(p.Field, "configFrom"), strings.HasPrefix(p.Field, "configPatches"):
			p.Message = textSecret + p.Message
			j.decision.refuse(p)
		default:
			p.Message = textParse + p.Message
			j.decision.refuse(p)
		}
	}
	j.keep(v)
}

// pluginSecret judges every plugin that takes its configuration from a Secret,
// with the Secret as it is to be.
func (j *judge) pluginSecret(secret *corev1.Secret) {
	plugins, err := j.lookup.Plugins(secret.Namespace)
	if err != nil {
		j.err = err
		return
	}
	for _, p := range plugins {
		if uses(p.ConfigFrom, p.ConfigPatches, secret.Name) && j.concerns(func(u *users) bool { return u.plugin(p.Namespace, p.Name) }) {
			v := j.view(j.classes.Ours[0], fragment.Owner{})
			v.secret = secret
			j.judgeBySecret(secret, kongcrd.TranslatePlugin(p, v), v)
		}
	}
	clusterPlugins, err := j.lookup.ClusterPlugins()
	if err != nil {
		j.err = err
		return
	}
	for _, p := range clusterPlugins {
		if settings, ok := j.class(p, nil); ok && usesNamespaced(p.ConfigFrom, p.ConfigPatches, secret.Namespace, secret.Name) {
			v := j.view(settings, fragment.Owner{})
			v.secret = secret
			j.judgeBySecret(secret, kongcrd.TranslateClusterPlugin(p, v), v)
		}
	}
}

// judgeBySecret judges a plugin's translation, and names the Secret as what has
// to be changed.
func (j *judge) judgeBySecret(secret *corev1.Secret, result fragment.Result, v *view) {
	of := judge{}
	of.judgePlugin(result, v)
	for _, p := range of.decision.Violations {
		p.Message = p.Object.String() + " " + p.Field + ": " + p.Message
		p.Object, p.Field = fragment.RefOf("", "v1", "Secret", secret), "data"
		j.decision.refuse(p)
	}
	j.keep(v)
}

func uses(from *kongv1.ConfigSource, patches []kongv1.ConfigPatch, secret string) bool {
	if from != nil && from.SecretValue.Secret == secret {
		return true
	}
	for _, p := range patches {
		if p.ValueFrom.SecretValue.Secret == secret {
			return true
		}
	}
	return false
}

func usesNamespaced(from *kongv1.NamespacedConfigSource, patches []kongv1.NamespacedConfigPatch, namespace, secret string) bool {
	if from != nil && from.SecretValue.Namespace == namespace && from.SecretValue.Secret == secret {
		return true
	}
	for _, p := range patches {
		if v := p.ValueFrom.SecretValue; v.Namespace == namespace && v.Secret == secret {
			return true
		}
	}
	return false
}
