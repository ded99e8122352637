// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// largeBody is the size of the bodies below: many times what may be allocated.
const largeBody = 128 << 20

// allocated returns how many bytes f makes the process allocate.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// pour writes n bytes in the framing, from one buffer.
func pour(w io.Writer, n int, chunked bool) error {
	block := []byte(strings.Repeat("x", 64<<10))
	if chunked {
		block = []byte(fmt.Sprintf("%x\r\n%s\r\n", len(block), block))
	}
	for i := 0; i < n; i += 64 << 10 {
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
	if chunked {
		_, err := io.WriteString(w, "0\r\n\r\n")
		return err
	}
	return nil
}

// framing is the header of a large body.
func framing(chunked bool) string {
	if chunked {
		return "Transfer-Encoding: chunked\r\n"
	}
	return fmt.Sprintf("Content-Length: %d\r\n", largeBody)
}

// Large bodies cost no more memory than small ones, either way.
func TestLargeBodiesTakeNoMemory(t *testing.T) {
	if raceEnabled || poisoned {
		t.Skip("the race detector and the poison tag allocate")
	}
	const allowed = 4 << 20
	for _, chunked := range []bool{false, true} {
		up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
			_ = c.SetDeadline(time.Time{})
			if strings.HasPrefix(readHead(in), "GET") {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framing(chunked)+"\r\n")
				_ = pour(c, largeBody, chunked)
				return
			}
			if chunked {
				// The gateway makes chunks of its own size.
				for line := ""; line != "0\r\n"; {
					line, _ = in.ReadString('\n')
					var n int
					if _, err := fmt.Sscanf(line, "%x", &n); err != nil {
						return
					}
					_, _ = in.Discard(n + 2)
				}
			} else {
				_, _ = in.Discard(largeBody)
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		})
		r := startRig(t, streaming(up.url), rigOptions{})
		for _, path := range []string{"/b", "/u"} {
			w := dialRig(t, r.plain)
			_ = w.SetDeadline(time.Now().Add(3 * patience))
			if n := allocated(func() {
				w.send("POST " + path + " HTTP/1.1\r\nHost: h\r\n" + framing(chunked) + "\r\n")
				if err := pour(w, largeBody, chunked); err != nil {
					t.Fatal(err)
				}
				if a, body := w.answer("POST"); a.StatusCode != 200 || body != "ok" {
					t.Errorf("got %d %q", a.StatusCode, body)
				}
			}); n > allowed {
				t.Errorf("upload to %s, chunked %t: %d bytes of memory", path, chunked, n)
			}
			if n := allocated(func() {
				w := dialRig(t, r.plain).send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
				_ = w.SetDeadline(time.Now().Add(3 * patience))
				a, err := http.ReadResponse(w.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, a.Body); n != largeBody || err != nil {
					t.Errorf("got %d bytes, %v", n, err)
				}
			}); n > allowed {
				t.Errorf("download from %s, chunked %t: %d bytes of memory", path, chunked, n)
			}
		}
	}
}

// untilItBlocks writes until nothing was taken for a while, and returns how many
// bytes were.
func untilItBlocks(t *testing.T, c net.Conn) (total int) {
	block := make([]byte, 64<<10)
	for total < largeBody {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.Write(block)
		total += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return total
		}
		if err != nil {
			t.Errorf("after %d bytes: %v", total, err)
			return total
		}
	}
	return total
}

// Who does not read holds up who writes: what is in between is the kernel's.
func TestBackPressure(t *testing.T) {
	const kernels = 48 << 20
	t.Run("slow upstream", func(t *testing.T) {
		hold := make(chan struct{})
		up := script(t, func(int, net.Conn, *bufio.Reader) { <-hold })
		defer close(hold)
		r := startRig(t, streaming(up.url), rigOptions{})
		w := dialRig(t, r.plain).send("POST /u HTTP/1.1\r\nHost: h\r\n" + framing(false) + "\r\n")
		if n := untilItBlocks(t, w.Conn); n > kernels {
			t.Errorf("%d bytes were taken", n)
		}
	})
	t.Run("slow client", func(t *testing.T) {
		taken := make(chan int, 1)
		up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
			readHead(in)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framing(false)+"\r\n")
			taken <- untilItBlocks(t, c)
		})
		r := startRig(t, streaming(up.url), rigOptions{})
		dialRig(t, r.plain).send("GET /u HTTP/1.1\r\nHost: h\r\n\r\n")
		if n := <-taken; n > kernels {
			t.Errorf("%d bytes were taken", n)
		}
	})
}

// When the process holds as many bytes of bodies as it may, bodies are streamed
// instead of held. None is refused for it.
func TestBodyBudget(t *testing.T) {
	whole, hold := make(chan struct{}), make(chan struct{})
	up := script(t, func(_ int, c net.Conn, in *bufio.Reader) {
		head := readHead(in)
		if strings.Contains(head, " /b/hold ") {
			close(whole)
			<-hold
		}
		kind := "length"
		if strings.Contains(head, "Transfer-Encoding: chunked") {
			kind = "chunked"
			for line := ""; line != "0\r\n"; {
				line, _ = in.ReadString('\n')
			}
			_, _ = in.ReadString('\n')
		} else {
			_, _ = in.Discard(200_000)
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(kind), kind)
	})
	r := startRig(t, streaming(up.url), rigOptions{settings: func(s *engine.Settings) {
		s.ClientBodyBufferSize, s.ClientBodyBufferBudget = 1<<20, 256<<10
	}})
	request := func(path string) *wire {
		var body strings.Builder
		for range 100 {
			_, _ = fmt.Fprintf(&body, "7d0\r\n%s\n\r\n", strings.Repeat("x", 1999))
		}
		return dialRig(t, r.plain).send("POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body.String() + "0\r\n\r\n")
	}
	if _, kind := request("/b").answer("POST"); kind != "length" {
		t.Errorf("with the budget free the body went %s", kind)
	}
	held := request("/b/hold")
	// Its head leaves when all of it is there.
	<-whole
	if n := r.BodyBytesHeld(); n < 180_000 {
		t.Errorf("%d bytes are held", n)
	}
	if a, kind := request("/b").answer("POST"); a.StatusCode != 200 || kind != "chunked" {
		t.Errorf("with the budget used up: %d, the body went %s", a.StatusCode, kind)
	}
	close(hold)
	if _, kind := held.answer("POST"); kind != "length" {
		t.Errorf("the body that was held went %s", kind)
	}
	until(t, "the budget to be free", func() bool { return r.BodyBytesHeld() == 0 })
}
