// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1beta1 "github.com/kong/kubernetes-configuration/api/configuration/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/kongcrd"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// textCredential begins messages about credentials, as Kong's ingress controller
// words it.
const textCredential = "consumer credential failed validation: "

// LabelValidate is the label that has plugins judged when a Secret changes that
// they are configured from; its value is "plugin".
const LabelValidate = fragment.AnnotationPrefix + "validate"

func (j *judge) consumer(c *kongv1.KongConsumer) {
	settings, ok := j.class(c, nil)
	if !ok {
		return
	}
	v := j.view(settings, consumerOwner(c))
	ref := kongcrd.ConsumerRef(c)
	for _, p := range kongcrd.TranslateConsumer(c, v).Problems {
		if p.Object != ref {
			continue // a conflict is reported to the Secret as well
		}
		switch p.Reason {
		case fragment.ReasonConsumerInvalid:
			p.Message = without(p.Message)
			j.decision.refuse(p)
		case fragment.ReasonSecretNotFound:
			j.decision.refuse(p)
		case fragment.ReasonCredentialInvalid:
			p.Message = textCredential + p.Message
			j.decision.refuse(p)
		case fragment.ReasonConflict:
			p.Message = without(p.Message)
			if p.Field != "username" && p.Field != "custom_id" {
				p.Message = textCredential + p.Message
			}
			j.decision.refuse(p)
		}
	}
	j.keep(v)
}

func (j *judge) consumerGroup(g *kongv1beta1.KongConsumerGroup) {
	settings, ok := j.class(g, nil)
	if !ok {
		return
	}
	v := j.view(settings, fragment.Owner{Kind: fragment.OwnerConsumerGroup, Namespace: g.Namespace, Name: g.Name})
	for _, p := range kongcrd.TranslateConsumerGroup(g, v).Problems {
		if p.Reason == fragment.ReasonConflict && p.Field == "metadata.name" {
			p.Message = without(p.Message)
			j.decision.refuse(p)
		}
	}
	j.keep(v)
}

// secret judges a Secret by what its labels say it is for.
func (j *judge) secret(s *corev1.Secret) {
	if _, labelled := s.Labels[fragment.LabelCredential]; labelled {
		j.credential(s)
	}
	if s.Labels[LabelValidate] == "plugin" {
		j.pluginSecret(s)
	}
}

// credential judges a Secret by the consumers that list it; by itself where
// there are none yet.
func (j *judge) credential(s *corev1.Secret) {
	consumers, err := j.lookup.Consumers()
	if err != nil {
		j.err = err
		return
	}
	listed := false
	for _, c := range consumers {
		i := slices.Index(c.Credentials, s.Name)
		if c.Namespace != s.Namespace || i < 0 {
			continue
		}
		listed = true
		if settings, ok := j.class(c, nil); ok {
			v := j.view(settings, consumerOwner(c))
			v.secret = s
			j.judgeCredential(c, i, s, v)
		}
	}
	if !listed && !j.classes.Shared {
		v := j.view(j.classes.Ours[0], fragment.Owner{})
		v.secret, v.alone = s, true
		j.judgeCredential(holder(s), 0, s, v)
	}
}

// judgeCredential judges the i-th credential of a consumer.
func (j *judge) judgeCredential(c *kongv1.KongConsumer, i int, s *corev1.Secret, v *view) {
	field := fmt.Sprintf("credentials[%d]", i)
	for _, p := range kongcrd.TranslateConsumer(c, v).Problems {
		if p.Field != field {
			continue
		}
		if p.Reason == fragment.ReasonConflict {
			p.Message = without(p.Message)
		}
		p.Object, p.Field = fragment.RefOf("", "v1", "Secret", s), "data"
		p.Message = textCredential + p.Message
		j.decision.refuse(p)
	}
	j.keep(v)
}

// holder returns a consumer that lists nothing but one Secret.
func holder(s *corev1.Secret) *kongv1.KongConsumer {
	c := &kongv1.KongConsumer{Username: s.Name, Credentials: []string{s.Name}}
	c.Namespace, c.Name = s.Namespace, s.Name
	return c
}

// CredentialKey returns what is the same for all Secrets with the same unique
// credential, a digest; "" for a Secret that holds none.
func CredentialKey(s *corev1.Secret, schemas entity.SchemaSet) string {
	if s.Labels[fragment.LabelCredential] == "" {
		return ""
	}
	v := &view{schemas: schemas, secret: s, alone: true}
	for _, c := range kongcrd.TranslateConsumer(holder(s), v).Claims {
		if c.Scope == fragment.ClaimCredential {
			return c.Value
		}
	}
	return ""
}
