// SPDX-License-Identifier: Apache-2.0

package gateway

import "testing"

// With a control plane, who configures plugins has no say over the proxy's files.
func TestMayAppend(t *testing.T) {
	for path, own := range map[string]bool{
		"/dev/stdout": true, "/dev/stderr": true, "/var/lib/kong-istio-gateway/token": false, "/dev/../data": false, "log": false, "": false,
	} {
		if err := (&pluginHost{noFiles: true}).MayAppend(path); (err == nil) != own {
			t.Errorf("%q: %v", path, err)
		}
		if err := (&pluginHost{}).MayAppend(path); err != nil {
			t.Errorf("alone, %q: %v", path, err)
		}
	}
}
