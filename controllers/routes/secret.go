// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
)

// secretReaders is how many Secrets are read at once.
const secretReaders = 4

// readSecret reads one Secret that the store asked for.
func (c *ControlPlane) readSecret(ctx context.Context, request store.SecretRequest) error {
	var secret corev1.Secret
	err := c.config.Reader.Get(ctx, types.NamespacedName{Namespace: request.Namespace, Name: request.Name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		c.store.AnswerSecret(request, nil)
	case err != nil:
		c.log.Error("Reading a Secret failed; it is tried again", "secret", request.Namespace+"/"+request.Name, "error", err)
		return fmt.Errorf("read Secret %s/%s: %w", request.Namespace, request.Name, err)
	default:
		slim(&secret)
		c.store.AnswerSecret(request, &secret)
	}
	return nil
}
