// SPDX-License-Identifier: Apache-2.0

package streamca

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// secretKey is the key of the Secret's data.
const secretKey = "roots"

// SecretStore keeps the roots in a Secret of the manager's namespace. It needs
// get, create and update of that one Secret.
type SecretStore struct {
	Reader client.Reader // not a cache: Secrets are not cached
	Writer client.Writer
	Name   types.NamespacedName
}

// Load implements Store.
func (s *SecretStore) Load(ctx context.Context) ([]byte, string, error) {
	var secret corev1.Secret
	err := s.Reader.Get(ctx, s.Name, &secret)
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return secret.Data[secretKey], secret.ResourceVersion, nil
}

// Save implements Store.
func (s *SecretStore) Save(ctx context.Context, data []byte, version string) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Name.Namespace, Name: s.Name.Name, ResourceVersion: version},
		Data:       map[string][]byte{secretKey: data},
	}
	var err error
	if version == "" {
		err = s.Writer.Create(ctx, secret)
	} else {
		err = s.Writer.Update(ctx, secret)
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || version != "" && apierrors.IsNotFound(err) {
		return ErrConflict
	}
	return err
}
