// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kong/kong-istio-gateway/internal/controlplane/admission"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// indexCredential finds Secrets by their admission.CredentialKey, which the
// cache keeps under the same name in place of their data.
const indexCredential = "credential"

// CacheOptions returns options for Config.Own: it holds digests of the
// credential Secrets, not their data, and the configuration of the webhook.
func CacheOptions(schemas entity.SchemaSet) (cache.Options, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, admissionv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return cache.Options{}, err
		}
	}
	labelled, err := labels.NewRequirement(fragment.LabelCredential, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, err
	}
	return cache.Options{
		Scheme: scheme, DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Label: labels.NewSelector().Add(*labelled), Transform: digest(schemas)},
			&admissionv1.ValidatingWebhookConfiguration{}: {
				Field: fields.OneTermEqualSelector(metav1.ObjectNameField, admission.ConfigurationName),
			},
		},
	}, nil
}

// digest keeps of a credential Secret its name and the digest of its key.
func digest(schemas entity.SchemaSet) func(any) (any, error) {
	return func(o any) (any, error) {
		s, ok := o.(*corev1.Secret)
		if !ok {
			return o, nil
		}
		slim := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion, Labels: s.Labels,
		}}
		if key := admission.CredentialKey(s, schemas); key != "" {
			slim.Annotations = map[string]string{indexCredential: key}
		}
		return slim, nil
	}
}

// indexCredentials makes the own cache find Secrets by credential.
func indexCredentials(ctx context.Context, own cache.Cache) error {
	err := own.IndexField(ctx, &corev1.Secret{}, indexCredential, func(o client.Object) []string {
		if key := o.GetAnnotations()[indexCredential]; key != "" {
			return []string{key}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index of credential Secrets: %w", err)
	}
	return nil
}
