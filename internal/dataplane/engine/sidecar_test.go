// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
)

// On a listener behind the sidecar its word on the client is believed, and
// nothing that it hands on as the client wrote it.
func TestSidecarTellsTheClient(t *testing.T) {
	const told = "By=spiffe://cluster.local/ns/edge/sa/edge;URI=spiffe://cluster.local/ns/a/sa/a"
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var got []string
		for name, values := range r.Header {
			if loose := strings.ReplaceAll(strings.ToLower(name), "_", "-"); loose == "x-forwarded-client-cert" || strings.HasPrefix(loose, "x-envoy-") || strings.HasPrefix(loose, "x-istio-") {
				got = append(got, name+"="+strings.Join(values, ","))
			}
		}
		_, _ = io.WriteString(w, strings.Join(got, " "))
	})
	ask := func(address string, http2 bool) string {
		protocols := &http.Protocols{}
		protocols.SetHTTP1(!http2)
		protocols.SetHTTP2(http2)
		protocols.SetUnencryptedHTTP2(http2)
		transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // #nosec G402 -- a test
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"X-Forwarded-Client-Cert": {told}, "X_forwarded_client_cert": {"forged"}, "X-Envoy-Max-Retries": {"9"}, "X-Istio-Attributes": {"a"}}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, _ := io.ReadAll(answer.Body)
		return string(body)
	}
	behind, open := startRig(t, service(up.URL, ""), rigOptions{mesh: true}), startRig(t, service(up.URL, ""), rigOptions{})
	proxied := startRig(t, service(up.URL, ""), rigOptions{mesh: true, proxied: true})
	for _, http2 := range []bool{false, true} {
		if got, want := ask("http://"+behind.plain, http2), "X-Forwarded-Client-Cert="+told; got != want {
			t.Errorf("HTTP/2 %t, behind the sidecar: %q, want %q", http2, got, want)
		}
		for what, address := range map[string]string{
			"TLS within the sidecar's": "https://" + behind.secure, "no sidecar": "http://" + open.plain, "no sidecar, TLS": "https://" + open.secure,
		} {
			if got := ask(address, http2); got != "" {
				t.Errorf("HTTP/2 %t, %s: %q reached the upstream", http2, what, got)
			}
		}
	}
	if got := dialRig(t, proxied.plain).ask(header1, "X-Forwarded-Client-Cert: "+told+"\r\n"); strings.Contains(got, "By=") {
		t.Errorf("behind a load balancer: %q reached the upstream", got)
	}
}
