// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"crypto/tls"
	"fmt"
	"runtime/debug"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Fault is a panic of a plugin's phase. It costs the request, never the
// process.
type Fault struct {
	Plugin string
	Phase  string
	Value  any
	Stack  []byte
}

// Error implements error.
func (f *Fault) Error() string {
	return fmt.Sprintf("plugin %s: %s: %v", f.Plugin, f.Phase, f.Value)
}

// failed is Kong's answer when a plugin breaks.
var failed = plugin.Reply{Status: 500, Message: "An unexpected error occurred"}

// Rewrite runs the rewrite phase of the plan of global plugins.
func (x *Exchange) Rewrite(global *Plan) (fault *Fault) {
	for i := range global.slots {
		in := global.slots[i].only
		if in == nil || in.Phases.Rewrite == nil {
			continue
		}
		if fault = guarded[plugin.Exchange](in, x, "rewrite", in.Phases.Rewrite); fault != nil {
			x.Exit(failed)
		}
		if x.exited {
			return fault
		}
	}
	return nil
}

// Access picks the instance of each slot and runs its access phase. After an
// Exit the remaining instances are still picked, because their response phases
// run on the answer.
func (x *Exchange) Access(p *Plan) (fault *Fault) {
	x.picked, x.filters = x.picked[:0], 0
	for i := range p.slots {
		in := p.slots[i].pick(&x.identity)
		if in == nil {
			continue
		}
		x.collect(in)
		if x.exited || in.Phases.Access == nil {
			continue
		}
		if f := guarded[plugin.Exchange](in, x, "access", in.Phases.Access); f != nil {
			fault = f
			x.Exit(failed)
		}
	}
	return fault
}

// Collect picks instances without running their access phase: for answers
// that the gateway makes before the access phase.
func (x *Exchange) Collect(p *Plan) {
	x.picked, x.filters = x.picked[:0], 0
	for i := range p.slots {
		if in := p.slots[i].pick(&x.identity); in != nil {
			x.collect(in)
		}
	}
}

func (x *Exchange) collect(in *Instance) {
	x.picked = append(x.picked, in)
	if in.Phases.BodyFilter != nil {
		x.filters++
	}
}

// Picked returns the instances that take part in the exchange. The slice is
// valid until the next exchange.
func (x *Exchange) Picked() []*Instance { return x.picked }

// Logs reports whether a picked instance has a log phase.
func (x *Exchange) Logs() bool {
	for _, in := range x.picked {
		if in.Phases.Log != nil {
			return true
		}
	}
	return false
}

// Buffered reports whether a picked instance has a response phase.
func (x *Exchange) Buffered() bool {
	for _, in := range x.picked {
		if in.Phases.Response != nil {
			return true
		}
	}
	return false
}

// ResponseBodyNeed returns how many bytes of the answer's body the picked
// instances need in one piece, 0 for none.
func (x *Exchange) ResponseBodyNeed() int64 {
	var need int64
	for _, in := range x.picked {
		need = max(need, in.Phases.Needs.ResponseBody)
	}
	return need
}

// ResponsePhase runs the response phase on a buffered answer.
func (x *Exchange) ResponsePhase() *Fault {
	for _, in := range x.picked {
		if in.Phases.Response == nil {
			continue
		}
		if f := guarded[plugin.Exchange](in, x, "response", in.Phases.Response); f != nil {
			return f
		}
	}
	return nil
}

// FilterHeader runs the header_filter phase. A fault is reported and the
// remaining filters run, as in Kong.
func (x *Exchange) FilterHeader() (fault *Fault) {
	for _, in := range x.picked {
		if in.Phases.HeaderFilter == nil {
			continue
		}
		if f := guarded[plugin.Exchange](in, x, "header_filter", in.Phases.HeaderFilter); f != nil {
			fault = f
		}
	}
	return fault
}

// FiltersBody reports whether FilterBody must be called for each chunk.
func (x *Exchange) FiltersBody() bool { return x.filters > 0 }

// FilterBody passes a chunk of the answer through the body filters.
func (x *Exchange) FilterBody(chunk []byte, last bool) (out []byte, fault *Fault) {
	current := 0
	defer func() {
		if v := recover(); v != nil {
			fault = &Fault{Plugin: x.picked[current].Plugin.Name, Phase: "body_filter", Value: v, Stack: debug.Stack()}
		}
	}()
	for i, in := range x.picked {
		if in.Phases.BodyFilter != nil {
			current = i
			chunk = in.Phases.BodyFilter(x, chunk, last)
		}
	}
	return chunk, nil
}

// Log runs the log phase.
func (x *Exchange) Log() (fault *Fault) {
	for _, in := range x.picked {
		if in.Phases.Log == nil {
			continue
		}
		if f := guarded[plugin.Exchange](in, x, "log", in.Phases.Log); f != nil {
			fault = f
		}
	}
	return fault
}

// guarded runs a phase of an instance on an Exchange or a Session.
func guarded[X any](in *Instance, x X, phase string, run func(X)) (fault *Fault) {
	defer func() {
		if v := recover(); v != nil {
			fault = &Fault{Plugin: in.Plugin.Name, Phase: phase, Value: v, Stack: debug.Stack()}
		}
	}()
	run(x)
	return nil
}

// Certificate asks the plan's global instances for a certificate, nil when
// none of them has one.
func (p *Plan) Certificate(ctx context.Context, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for i := range p.slots {
		in := p.slots[i].only
		if in == nil || in.Phases.Certificate == nil {
			continue
		}
		if cert, err := in.Phases.Certificate(ctx, hello); cert != nil || err != nil {
			return cert, err
		}
	}
	return nil, nil
}
