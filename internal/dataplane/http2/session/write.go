// SPDX-License-Identifier: Apache-2.0

package session

import (
	"runtime"
	"time"
)

// roundsOfOthers is how often a goroutine writes for others before it leaves that to a goroutine of its own.
const roundsOfOthers = 4

// flush writes what there is, unless someone else is doing so, who then takes it along.
func (x *Session) flush() {
	x.mu.Lock()
	if x.writing || x.dead {
		x.mu.Unlock()
		return
	}
	x.writing = true
	x.writeOut()
}

// writeOut writes until nothing is left. The caller holds mu and has set writing; both are undone.
func (x *Session) writeOut() {
	if x.streams.Load() > 1 {
		// Others that are about to answer get to put their frames into the same write.
		x.mu.Unlock()
		runtime.Gosched()
		x.mu.Lock()
	}
	for round := 0; !x.dead; round++ {
		x.conn.Schedule(writeBatch, x.sent)
		if x.conn.Output() == 0 {
			break
		}
		if round == roundsOfOthers {
			x.mu.Unlock()
			go func() {
				x.mu.Lock()
				x.writeOut()
			}()
			return
		}
		out := x.conn.TakeOutput(x.spare)
		x.mu.Unlock()
		err := x.put(out)
		x.mu.Lock()
		if x.spare = out[:0]; cap(out) > outputKeep && x.streams.Load() == 0 {
			x.spare = nil
		}
		if err != nil {
			x.mu.Unlock()
			x.abandon(err)
			x.mu.Lock()
		}
	}
	x.writing = false
	over := x.conn.Over() || x.conn.Err() != nil
	x.mu.Unlock()
	if over {
		x.finish()
	}
}

// put writes to the socket. Only who has set writing calls it.
func (x *Session) put(b []byte) error {
	now := time.Now()
	// Moving a deadline costs more than the rest of it, so it may strike a little late.
	slack := min(time.Second, x.options.WriteTimeout/8)
	if late := x.writeBy.Sub(now.Add(x.options.WriteTimeout)); late < 0 || late > slack {
		x.writeBy = now.Add(x.options.WriteTimeout + slack)
		_ = x.nc.SetWriteDeadline(x.writeBy)
	}
	_, err := x.nc.Write(b)
	return err
}

// claim reports whether the caller should flush. The caller holds mu.
func (x *Session) claim() bool { return !x.writing && x.conn.Output() > 0 }
