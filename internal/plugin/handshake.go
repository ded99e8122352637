// SPDX-License-Identifier: Apache-2.0

package plugin

import "context"

type handshakeKey struct{}

// WithHandshake returns the context of Certificate phases; asked is set when
// one of them calls AskClientCertificate.
func WithHandshake(ctx context.Context, asked *bool) context.Context {
	return context.WithValue(ctx, handshakeKey{}, asked)
}

// AskClientCertificate makes the TLS handshake ask the client for a certificate
// (Kong's kong.client.tls.request_client_certificate). It is called in a
// Certificate phase with the context of the phase, and returns false elsewhere.
// The certificate is not verified, and the client need not send one; what it
// sent is in Client.TLS.PeerCertificates. Plugins that always ask declare
// Needs.ClientCertificate instead.
func AskClientCertificate(ctx context.Context) bool {
	asked, ok := ctx.Value(handshakeKey{}).(*bool)
	if ok {
		*asked = true
	}
	return ok
}
