// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stored is an object as the API server hands it to webhooks.
func stored(o metav1.Object) metav1.Object {
	s, ok := o.(*corev1.Secret)
	if !ok {
		return o
	}
	for k, v := range s.StringData {
		if s.Data == nil {
			s.Data = make(map[string][]byte)
		}
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
	return s
}

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }
