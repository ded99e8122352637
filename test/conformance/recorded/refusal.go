// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// refusal compares what spoke against the configuration with what Kong said:
// each of its objections must be there, naming the entity and the field.
func (r *run) refusal() (problems []string) {
	if len(r.refused) == 0 {
		return []string{"the configuration was accepted"}
	}
	said := fmt.Sprint(r.refused)
	var config any
	if err := json.Unmarshal(r.names.fill(r.c.Config), &config); err != nil {
		return []string{err.Error()}
	}
	for _, objections := range r.c.Refusal {
		for path, message := range objections {
			for _, word := range objectionNames(path, config) {
				if !strings.Contains(said, word) {
					problems = append(problems, fmt.Sprintf("%s (%s): %q is not named in %s", path, message, word, said))
				}
			}
		}
	}
	return problems
}

var pathPart = regexp.MustCompile(`[^.\[\]]+`)

// objectionNames returns what a message about a path must name: the nearest
// entity with a name, and the field.
func objectionNames(path string, config any) (words []string) {
	parts := pathPart.FindAllString(path, -1)
	at := config
	for _, part := range parts {
		at = below(at, part)
		if object, ok := at.(map[string]any); ok {
			if name, ok := object["name"].(string); ok {
				words = []string{name}
			}
		}
	}
	for _, part := range slices.Backward(parts) {
		if _, err := strconv.Atoi(part); err == nil || strings.HasPrefix(part, "@") {
			continue
		}
		if !slices.Contains([]string{"name", "plugins", "config"}, part) {
			words = append(words, part)
		}
		break
	}
	return words
}

func below(at any, part string) any {
	switch v := at.(type) {
	case map[string]any:
		return v[part]
	case []any:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}
