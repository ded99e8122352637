// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// maxPointerSteps bounds how deep a patch may go: plugins' configurations are a
// few steps deep.
const maxPointerSteps = 32

var errPointerIndex = errors.New("an index must not be larger than the list's length")

// checkPointer reports why a value cannot be added at a JSON pointer (RFC 6901)
// of a document. Parents that are missing are made, but lists are not filled up
// to an index, which RFC 6902, section 4.1, does not permit either: it may be
// their length at most.
func checkPointer(document []byte, pointer string) error {
	var at any
	if err := json.Unmarshal(document, &at); err != nil {
		return err
	}
	steps := strings.Split(pointer, "/")[1:]
	if len(steps) > maxPointerSteps {
		return errors.New("it has more than " + strconv.Itoa(maxPointerSteps) + " steps")
	}
	for _, step := range steps {
		switch container := at.(type) {
		case map[string]any:
			at = container[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
			continue
		case []any:
			index, err := strconv.Atoi(step)
			if err == nil && index > len(container) {
				return errPointerIndex
			}
			if err == nil && index >= 0 && index < len(container) {
				at = container[index]
				continue
			}
		case nil: // made for this step
			if index, err := strconv.Atoi(step); err == nil && index > 0 {
				return errPointerIndex
			}
		}
		at = nil
	}
	return nil
}
