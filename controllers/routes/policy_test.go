// SPDX-License-Identifier: Apache-2.0

package routes_test

import (
	"fmt"
	"slices"
	"testing"
)

// TestPolicyGoesOn holds that a KongUpstreamPolicy whose new version is invalid
// goes on as it was, and that its status and an event say so.
func TestPolicyGoesOn(t *testing.T) {
	rows := []row{{
		name: "valid", service: on("upstream-policy", "balance"), objects: `
apiVersion: configuration.konghq.com/v1beta1
kind: KongUpstreamPolicy
metadata: {name: balance, namespace: $NS}
spec: {algorithm: least-connections}
`,
		want:   []string{`upstreams {"algorithm":"least-connections"}`},
		status: []string{"KongUpstreamPolicy balance: Service web by gateway.konghq.com/kong-istio-gateway Accepted=True/"},
	}}
	tb := startTable(t, "policy-goes-on", rows)
	tb.check(t)
	ns := tb.namespace(0)
	kubectl(t, "", "-n", ns, "patch", "kongupstreampolicy", "balance", "--type=merge", "-p",
		`{"spec":{"algorithm":"consistent-hashing","hashOn":{"header":"x-a"},"hashOnFallback":{"header":"x-a"}}}`)
	said := "spec: @entity: values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'; its last valid version goes on serving (correct the policy)"
	eventually(t, "status", func() error {
		tb.acknowledge()
		return tb.hasStatus(ns, "KongUpstreamPolicy balance: Service web by gateway.konghq.com/kong-istio-gateway Accepted=False/Invalid: "+said)
	})
	eventually(t, "event", func() error {
		got, err := tb.warnings(ns)
		want := []string{"event KongUpstreamPolicy balance KongConfigurationTranslationFailed UpstreamPolicyInvalid: " + said}
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("events are %q", got)
		}
		return err
	})
	if err := tb.published(ns, 0, rows[0].want); err != nil {
		t.Error(err)
	}
}
