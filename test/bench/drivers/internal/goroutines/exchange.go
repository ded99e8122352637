// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/http1"
	"github.com/kong/kong-istio-gateway/internal/dataplane/upstream"
	"github.com/kong/kong-istio-gateway/test/bench/drivers/internal/site"
)

// exchange passes the request on and its answer back.
func (c *client) exchange(now time.Time) error {
	ex := c.ex
	bodyless := ex.Request.Framing == http1.BodyNone || ex.Request.ContentLength == 0
	for {
		b := c.server.pool.Reuse(now)
		reused := b != nil
		if b == nil {
			ctx, cancel := context.WithTimeout(context.Background(), site.ConnectTimeout)
			opened, err := c.server.pool.Open(ctx)
			cancel()
			if err != nil {
				return c.fail(502)
			}
			b = opened
		}
		b.Use(c.answer)
		c.backend.Store(b)
		err := c.send(b, now, bodyless)
		if err == nil {
			err = c.answerHead(b)
		}
		if err == nil {
			return c.pass(b)
		}
		_ = b.Close()
		gone := c.backend.Swap(nil) == nil
		c.waiting.Store(0)
		if gone {
			return err
		}
		if !reused || b.Received() || !bodyless || ex.Request.MethodID == http1.MethodPost {
			return c.fail(502)
		}
	}
}

// send writes the request with its body.
func (c *client) send(b *upstream.Conn, now time.Time, bodyless bool) (err error) {
	ex := c.ex
	if c.up, err = ex.AppendRequest(c.up[:0], now); err != nil {
		return err
	}
	b.ArmWrite(now, site.WriteTimeout)
	if bodyless {
		c.requests++
		c.waiting.Store(c.requests)
		_, err = b.Write(c.up)
		return err
	}
	for {
		data, n, done, err := ex.Body.Decode(c.pending)
		if err != nil {
			return err
		}
		c.pending = c.pending[n:]
		if ex.Request.Framing == http1.BodyChunked {
			c.up = http1.AppendChunk(c.up, data)
			if done {
				c.up = http1.AppendLastChunk(c.up, ex.Body.Trailers())
			}
		} else {
			c.up = append(c.up, data...)
		}
		if _, err := b.Write(c.up); err != nil || done {
			return err
		}
		c.up = c.up[:0]
		if n > 0 && len(c.pending) > 0 {
			continue
		}
		if c.body == nil {
			c.body = make([]byte, bodyBuffer)
		}
		now = time.Now()
		c.armRead(now, site.BodyTimeout)
		m, err := c.nc.Read(c.body)
		if err != nil {
			return err
		}
		c.pending = c.body[:m]
		b.ArmWrite(now, site.WriteTimeout)
	}
}

// answerHead reads the head of the final answer.
func (c *client) answerHead(b *upstream.Conn) error {
	for {
		n, err := c.ex.ParseResponse(b.Buffered())
		if err == nil {
			b.Consume(n)
			if !c.ex.Response.Interim() {
				return nil
			}
			c.ex.Response.Reset()
			continue
		}
		if !errors.Is(err, http1.ErrNeedMore) {
			return err
		}
		b.ArmRead(time.Now(), site.ReadTimeout)
		if err := b.Fill(); err != nil {
			return err
		}
	}
}

// pass sends the answer to the client.
func (c *client) pass(b *upstream.Conn) (err error) {
	ex, now := c.ex, time.Now()
	keep := ex.Request.KeepAlive && ex.Response.Framing != http1.BodyUntilClose
	if c.out, err = ex.AppendAnswer(c.out[:0], now, keep); err != nil {
		return err
	}
	for done := false; !done; {
		data, n, ended, err := ex.Answer.Decode(b.Buffered())
		if err != nil {
			return err
		}
		b.Consume(n)
		done = ended
		if ex.Response.Framing == http1.BodyChunked {
			c.out = http1.AppendChunk(c.out, data)
			if done {
				c.out = http1.AppendLastChunk(c.out, ex.Answer.Trailers())
			}
		} else {
			c.out = append(c.out, data...)
		}
		if done {
			c.release(b)
		}
		if err := c.write(c.out, now); err != nil {
			return err
		}
		c.out = c.out[:0]
		if done || n > 0 && len(b.Buffered()) > 0 {
			continue
		}
		now = time.Now()
		b.ArmRead(now, site.ReadTimeout)
		if err := b.Fill(); errors.Is(err, io.EOF) && ex.Response.Framing == http1.BodyUntilClose {
			done = true
			_ = b.Close()
		} else if err != nil {
			return err
		}
	}
	ex.End(now)
	if !keep {
		return io.EOF
	}
	return nil
}

// release gives the backend's connection back.
func (c *client) release(b *upstream.Conn) {
	c.waiting.Store(0)
	if c.backend.Swap(nil) == b && c.ex.Response.KeepAlive {
		b.Put(time.Now())
		return
	}
	_ = b.Close()
}
