// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"errors"
	"testing"
)

// calm reports whether the Conn has told its peer to calm down.
func (p *peer) calm() bool {
	var failed *ConnError
	return errors.As(p.err, &failed) && failed.Code == CodeEnhanceYourCalm
}

// TestMadeYouReset: a client pays for streams that it makes us reset (CVE-2025-8671) as for those that it resets itself.
func TestMadeYouReset(t *testing.T) {
	p, n := newPeer(t, serverConfig()), 0
	for ; p.err == nil && n < 1000; n++ {
		id := uint32(2*n + 1)
		p.head(id, false, get()...)
		if p.err != nil {
			break
		}
		s := p.stream(EventRequest)
		// RFC 9113 §6.9: an increment of 0 is an error of the stream.
		_ = p.w.WriteRawFrame(8, 0, id, []byte{0, 0, 0, 0})
		p.push()
		p.c.Done(s)
		// The client reads what it makes us send: no bound of the output helps.
		p.drop()
	}
	if !p.calm() || n < 100 || n > 300 {
		t.Errorf("%v after %d resets", p.err, n)
	}
}

// TestEmptyData: frames of DATA without data bring nothing and cost work.
func TestEmptyData(t *testing.T) {
	p, n := newPeer(t, serverConfig()), 0
	p.head(1, false, get()...)
	p.stream(EventRequest)
	for ; p.err == nil && n < 5000; n++ {
		p.data(1, false, "")
	}
	if !p.calm() || n < 400 || n > 600 {
		t.Errorf("%v after %d frames", p.err, n)
	}
}
