// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
)

const scorecardDirectory = "tests/scorecard/"

// labels are what tells OLM and the scorecard how to read the bundle: annotations of the bundle's
// directory and labels of its image, in this order.
func labels(channel string) [][2]string {
	const bundle, test = "operators.operatorframework.io.bundle.", "operators.operatorframework.io.test."
	return [][2]string{
		{bundle + "mediatype.v1", "registry+v1"},
		{bundle + "manifests.v1", "manifests/"},
		{bundle + "metadata.v1", "metadata/"},
		{bundle + "package.v1", packageName},
		{bundle + "channels.v1", channel},
		{bundle + "channel.default.v1", channel},
		{test + "mediatype.v1", "scorecard+v1"},
		{test + "config.v1", scorecardDirectory},
	}
}

// metadata adds bundle/metadata/annotations.yaml and bundle.Dockerfile.
func (f files) metadata(channel string) error {
	annotations := map[string]string{}
	dockerfile := bytes.NewBufferString(header + "FROM scratch\n\n")
	for _, label := range labels(channel) {
		annotations[label[0]] = label[1]
		fmt.Fprintf(dockerfile, "LABEL %s=%s\n", label[0], label[1])
	}
	dockerfile.WriteString("\nCOPY bundle/manifests /manifests/\nCOPY bundle/metadata /metadata/\nCOPY bundle/" +
		scorecardDirectory + " /" + scorecardDirectory + "\n")
	f["bundle.Dockerfile"] = dockerfile.Bytes()
	return f.add("bundle/metadata/annotations.yaml", map[string]any{"annotations": annotations})
}
