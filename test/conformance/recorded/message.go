// SPDX-License-Identifier: Apache-2.0

package recorded

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// message is one HTTP/1 message as it came.
type message struct {
	start  string
	fields []Field
	body   []byte
	// trailers came after the body, interim are the answers before this one
	// (RFC 9110 §15.2).
	trailers []Field
	interim  []*message
}

// truncated marks a body that ended before its announced end.
var truncated = Field{"(truncated)", "yes"}

// readMessage reads one message; io.EOF when there is none. method is that of
// the request an answer belongs to, "" for a request.
func readMessage(in *bufio.Reader, method string) (*message, error) {
	line, err := in.ReadString('\n')
	if line == "" {
		return nil, err
	}
	m := &message{start: strings.TrimRight(latin([]byte(line)), "\r\n")}
	low := map[string]string{}
	for ended := false; !ended; {
		line, err := in.ReadString('\n')
		ended = err != nil // a cut message is judged by what came of it
		if strings.TrimRight(line, "\r\n") == "" {
			break
		}
		f := field(line)
		m.fields = append(m.fields, f)
		low[strings.ToLower(f[0])] = f[1]
	}
	m.readBody(in, method, low)
	return m, nil
}

// field reads a header line.
func field(line string) Field {
	name, value, _ := strings.Cut(strings.TrimRight(latin([]byte(line)), "\r\n"), ":")
	return Field{name, strings.TrimSpace(value)}
}

// readAnswer reads the answer to a request, and the interim ones before it.
func readAnswer(in *bufio.Reader, method string) (*message, error) {
	var interim []*message
	for {
		m, err := readMessage(in, method)
		if err != nil || !isInterim(m.status()) {
			if m != nil {
				m.interim = interim
			}
			return m, err
		}
		interim = append(interim, m)
	}
}

// isInterim reports whether another answer follows one with this status: 101
// is the last one of HTTP/1.1.
func isInterim(status int) bool { return status >= 100 && status < 200 && status != 101 }

func (m *message) readBody(in *bufio.Reader, method string, low map[string]string) {
	answer := method != ""
	status := m.status()
	length, announced := low["content-length"]
	switch {
	case answer && (method == "HEAD" || status == 204 || status == 304 || status >= 100 && status < 200):
	case strings.Contains(strings.ToLower(low["transfer-encoding"]), "chunked"):
		m.readChunks(in, answer)
	case announced:
		n, _ := strconv.Atoi(length)
		m.body = make([]byte, n)
		got, _ := io.ReadFull(in, m.body)
		if m.body = m.body[:got]; got < n && answer {
			m.fields = append(m.fields, truncated)
		}
	case answer:
		m.body, _ = io.ReadAll(in)
	}
}

func (m *message) readChunks(in *bufio.Reader, answer bool) {
	for {
		line, err := in.ReadString('\n')
		if line == "" && err != nil {
			if answer {
				m.fields = append(m.fields, truncated)
			}
			return
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		size, _ := strconv.ParseInt(digits, 16, 32)
		if size == 0 {
			for {
				line, err := in.ReadString('\n')
				if strings.TrimRight(line, "\r\n") == "" || err != nil {
					return
				}
				m.trailers = append(m.trailers, field(line))
			}
		}
		chunk := make([]byte, size)
		n, err := io.ReadFull(in, chunk)
		m.body = append(m.body, chunk[:n]...)
		if err != nil && answer {
			m.fields = append(m.fields, truncated)
		}
		if err != nil {
			return
		}
		_, _ = in.ReadString('\n')
	}
}

// status is the status of an answer, 0 if it is none.
func (m *message) status() int {
	parts := strings.Split(m.start, " ")
	if len(parts) < 2 {
		return 0
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0
	}
	return n
}

// line returns a part of the start line.
func (m *message) line(i int) string {
	parts := strings.Split(m.start, " ")
	if i >= len(parts) {
		return ""
	}
	return parts[i]
}

var errNoAnswer = errors.New("the connection ended without an answer")
