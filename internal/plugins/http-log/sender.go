// SPDX-License-Identifier: Apache-2.0

package httplog

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// sender posts batches to the endpoint.
type sender struct {
	url       string // without user information
	shown     string // what errors may say of the endpoint: it may hold secrets
	method    string
	header    http.Header
	timeout   time.Duration
	list      bool
	transport *http.Transport
	client    *http.Client
}

// drainLimit bounds what is read of an answer so that its connection can be
// used again.
const drainLimit = 64 << 10

func newSender(c *config, host plugin.Host) (*sender, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" {
		// The parser's error would show the endpoint.
		return nil, errors.New("http_endpoint: not a URL with a host")
	}
	s := &sender{
		shown: u.Scheme + "://" + u.Host, method: c.Method, header: http.Header{},
		timeout: time.Duration(c.Timeout * float64(time.Millisecond)), list: c.Queue.MaxBatchSize > 1,
	}
	s.header.Set("User-Agent", host.Product())
	for name, value := range c.Headers {
		s.header.Set(name, value)
	}
	s.header.Set("Content-Type", c.ContentType)
	if u.User != nil {
		password, _ := u.User.Password()
		request := http.Request{Header: s.header}
		request.SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	s.url = u.String()
	s.transport = &http.Transport{
		DialContext:     host.Dial,
		IdleConnTimeout: time.Duration(c.Keepalive * float64(time.Millisecond)),
		// Kong does not verify the certificates of log servers, which are often
		// self-signed; a config that works there has to work here.
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
		DisableCompression: true,
	}
	s.client = &http.Client{
		Transport: s.transport,
		// A redirect is no delivery.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// Send implements logqueue.Sink. With batches of one the body is the record itself,
// otherwise always a list.
func (s *sender) Send(ctx context.Context, batch [][]byte) error {
	body := batch[0]
	if s.list {
		body = append([]byte{'['}, bytes.Join(batch, []byte{','})...)
		body = append(body, ']')
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, s.method, s.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: the request cannot be made", s.shown)
	}
	request.Header = s.header
	response, err := s.client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // leaves out the URL
		}
		return fmt.Errorf("%s: %w", s.shown, err)
	}
	_, _ = io.CopyN(io.Discard, response.Body, drainLimit)
	_ = response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s answered %d", s.shown, response.StatusCode)
	}
	return nil
}

// Close implements logqueue.Sink.
func (s *sender) Close() { s.transport.CloseIdleConnections() }
