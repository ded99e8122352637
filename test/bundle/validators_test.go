// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	validator "github.com/operator-framework/api/pkg/validation/interfaces"
)

const directory = "../../bundle"

// validators are those of operator-framework/api that apply to a bundle directory, by the names that
// operator-sdk gives them, but multiarch: it pulls the images.
var validators = map[string]validator.Validator{
	"clusterserviceversion":    validation.ClusterServiceVersionValidator,
	"customresourcedefinition": validation.CustomResourceDefinitionValidator,
	"bundle":                   validation.BundleValidator,
	"object":                   validation.ObjectValidator,
	"operatorhubv2":            validation.OperatorHubV2Validator,
	"community":                validation.CommunityOperatorValidator,
	"standardcapabilities":     validation.StandardCapabilitiesValidator,
	"standardcategories":       validation.StandardCategoriesValidator,
	"alpha-deprecated-apis":    validation.AlphaDeprecatedAPIsValidator,
	"good-practices":           validation.GoodPracticesValidator,
}

// options are the validators' own: the newest Kubernetes version whose removals they know.
var options = map[string]string{"k8s-version": "1.26.0"}

// removed is the finding that takes the resources of discovery.k8s.io/v1 and events.k8s.io/v1 for their
// removed beta versions: a rule names no version (operator-framework/api issue 378).
var removed = regexp.MustCompile(`removed in v1\.25\. .* for ((endpointslices|events): \(\["[^"]*"\]\),){2}$`)

// expected are the findings that may stand, by validator. One that is no longer reported fails the test.
var expected = map[string][]*regexp.Regexp{
	"alpha-deprecated-apis": {removed},
	"operatorhubv2":         {removed},
}

func load(t *testing.T) *manifests.Bundle {
	t.Helper()
	bundle, err := manifests.GetBundleFromDir(directory)
	if err != nil {
		t.Fatalf("%v; run \"make bundle\"", err)
	}
	return bundle
}

func TestValidators(t *testing.T) {
	bundle := load(t)
	for _, name := range slices.Sorted(maps.Keys(validators)) {
		t.Run(name, func(t *testing.T) {
			findings := validate(validators[name], bundle)
			for _, known := range expected[name] {
				before := len(findings)
				findings = slices.DeleteFunc(findings, known.MatchString)
				if len(findings) == before {
					t.Errorf("%s is no longer reported; remove it from expected", known)
				}
			}
			for _, finding := range findings {
				t.Error(finding)
			}
		})
	}
}

// validate returns all errors and warnings of a validator.
func validate(v validator.Validator, bundle *manifests.Bundle) []string {
	var findings []string
	for _, result := range v.Validate(append(bundle.ObjectsToValidate(), options)...) {
		for _, finding := range slices.Concat(result.Errors, result.Warnings) {
			findings = append(findings, finding.Error())
		}
	}
	return findings
}

// The validators find what is wrong: each case breaks the bundle in one way.
func TestValidatorsFail(t *testing.T) {
	for _, test := range []struct {
		name      string
		validator string
		damage    func(*manifests.Bundle)
		want      string
	}{
		{"an owned kind without its definition", "bundle",
			func(b *manifests.Bundle) { b.V1CRDs = nil }, "not found in bundle"},
		{"an image reference that is none", "bundle",
			func(b *manifests.Bundle) { b.CSV.Spec.RelatedImages[0].Image = "Not An Image" }, "invalid image pullspec"},
		{"examples that are not JSON", "clusterserviceversion",
			func(b *manifests.Bundle) { b.CSV.Annotations["alm-examples"] = "[{" }, "invalid example"},
		{"a capability level that there is not", "standardcapabilities",
			func(b *manifests.Bundle) { b.CSV.Annotations["capabilities"] = "Perfect" }, "Perfect"},
		{"no icon", "operatorhubv2",
			func(b *manifests.Bundle) { b.CSV.Spec.Icon = nil }, "Icon not specified"},
		{"a channel outside the convention", "good-practices",
			func(b *manifests.Bundle) { b.Channels = []string{"alpha"} }, "alpha"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bundle := load(t)
			test.damage(bundle)
			findings := validate(validators[test.validator], bundle)
			if !slices.ContainsFunc(findings, func(f string) bool { return strings.Contains(f, test.want) }) {
				t.Errorf("%s reports %q, want a finding with %q", test.validator, findings, test.want)
			}
		})
	}
}
