// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"slices"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// slowdown is by what the delays of backends are multiplied, and the timeouts of
// the cases that have such backends: the recorded ones tell a backend that
// answers from one that does not within 150 ms, which is too little on a busy
// machine. What a case compares stays as it was recorded.
const slowdown = 8

// slowDown multiplies the timeouts that the services of such a case have.
func (r *run) slowDown(set *entity.Set) {
	if !r.c.anyAnswer(func(a *AnswerSpec) bool { return a.DelayMS > 0 }) {
		return
	}
	for _, s := range set.Services {
		// Services may share a value: it is replaced, not changed.
		for _, timeout := range []**int{&s.ConnectTimeout, &s.ReadTimeout, &s.WriteTimeout} {
			if *timeout != nil {
				slower := **timeout * slowdown
				*timeout = &slower
			}
		}
	}
}

// anyAnswer reports whether any answer of the case's backends is such a one.
func (c *Case) anyAnswer(is func(*AnswerSpec) bool) bool {
	for _, b := range c.Backends {
		script := slices.ContainsFunc(b.Script, func(a AnswerSpec) bool { return is(&a) })
		if script || is(&b.AnswerSpec) {
			return true
		}
		for _, a := range b.Aside {
			if is(a) {
				return true
			}
		}
	}
	return false
}
