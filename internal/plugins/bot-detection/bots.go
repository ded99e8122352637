// SPDX-License-Identifier: Apache-2.0

package botdetection

import (
	"regexp"
	"strings"
)

// sign is a word by which a robot is known. The pattern, if there is one, says
// what must surround the word; it is looked for in the whole User-Agent.
type sign struct {
	word string
	// fold compares the word without regard to case. Its word is in lower case.
	fold    bool
	pattern *regexp.Regexp
	// place is the pattern's among all patterns.
	place int
}

// maxPatterns bounds how many patterns there are.
const maxPatterns = 256

// asked are the patterns that one User-Agent was held against: once is enough,
// however often it holds the word.
type asked [maxPatterns / 64]uint64

func (a *asked) first(place int) bool {
	word, bit := &a[place/64], uint64(1)<<(place%64)
	before := *word
	*word |= bit
	return before&bit == 0
}

// signs are by the first byte of their word: a User-Agent is looked through
// once, and most of its bytes begin few words.
var signs = func() (out [256][]sign) {
	patterns := 0
	add := func(s sign) {
		if s.pattern != nil {
			s.place = patterns
			patterns++
		}
		out[s.word[0]] = append(out[s.word[0]], s)
		if upper := strings.ToUpper(s.word[:1])[0]; s.fold && upper != s.word[0] {
			out[upper] = append(out[upper], s)
		}
	}
	for _, w := range []string{"crawl", "spider"} {
		add(sign{word: w, fold: true})
	}
	for w := range strings.SplitSeq(names, "\n") {
		if w != "" {
			add(sign{word: w})
		}
	}
	for w := range strings.FieldsSeq(namesWithVersion) {
		add(sign{word: w + "/", pattern: regexp.MustCompile(`\b` + regexp.QuoteMeta(w) + `/\d`)})
	}
	for w := range strings.FieldsSeq(clients) {
		add(sign{word: w + "/", pattern: regexp.MustCompile(`\b` + regexp.QuoteMeta(w) + `/\d+\.\d`)})
	}
	for w := range strings.FieldsSeq(namesInComments) {
		add(sign{word: "/" + w, pattern: regexp.MustCompile("/" + w + `[ -]\d`)})
	}
	for w, pattern := range surrounded {
		add(sign{word: w, pattern: regexp.MustCompile(pattern)})
	}
	return out
}()

// isBot reports whether a User-Agent is that of a robot, or of a program that
// fetches on somebody's behalf, as Kong 3.9 sees it: names of the robots that
// uap-core knows (https://github.com/ua-parser/uap-core), and what calls itself
// a spider, a crawler, or, with a version, a bot.
func isBot(agent string) bool {
	var seen asked
	for i := range len(agent) {
		for _, s := range signs[agent[i]] {
			if s.at(agent[i:]) && (s.pattern == nil || seen.first(s.place) && s.pattern.MatchString(agent)) {
				return true
			}
		}
	}
	return false
}

func (s *sign) at(text string) bool {
	if !s.fold {
		return strings.HasPrefix(text, s.word)
	}
	return len(text) >= len(s.word) && strings.EqualFold(text[:len(s.word)], s.word)
}
