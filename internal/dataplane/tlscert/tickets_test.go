// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ticketClock is a clock that tests set.
type ticketClock struct{ offset atomic.Int64 }

var ticketEpoch = time.Now()

func (c *ticketClock) now() time.Time        { return ticketEpoch.Add(time.Duration(c.offset.Load())) }
func (c *ticketClock) pass(by time.Duration) { c.offset.Add(int64(by)) }

// lastSession is a client's memory of one session, for any name.
type lastSession struct {
	mu      sync.Mutex
	session *tls.ClientSessionState
	puts    int
}

func (s *lastSession) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.session != nil
}

func (s *lastSession) Put(_ string, session *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session != nil {
		s.session = session
		s.puts++
	}
}

// visit connects over TLS, reads what the server says, so that tickets come,
// and reports whether a session was resumed.
func visit(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	deadline := time.Now().Add(10 * time.Second)
	if err := errors.Join(a.SetDeadline(deadline), b.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		s := tls.Server(b, server)
		_, _ = io.WriteString(s, "hello")
		_ = s.Close()
	})
	c := tls.Client(a, client)
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	_ = a.Close()
	serving.Wait()
	return c.ConnectionState().DidResume
}

func ticketServer(t *testing.T, s *Store, tickets *Tickets, asked bool) *tls.Config {
	t.Helper()
	config := &tls.Config{GetCertificate: s.GetCertificate, MinVersion: tls.VersionTLS12}
	if asked {
		config.ClientAuth = tls.RequestClientCert
	}
	tickets.Use(config, asked)
	return config
}

func ticketClient(version uint16, clock *ticketClock) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, ServerName: "a.test", MinVersion: tls.VersionTLS12, MaxVersion: version,
		ClientSessionCache: &lastSession{}, Time: clock.now,
	}
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// A session is resumed after its key was replaced, with another listener too,
// and no longer when it is too old.
func TestTicketsRotateAndExpire(t *testing.T) {
	s := newStore(t, nil)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			clock := &ticketClock{}
			tickets, err := NewTickets(time.Hour, clock.now)
			if err != nil {
				t.Fatal(err)
			}
			server, other := ticketServer(t, s, tickets, false), ticketServer(t, s, tickets, false)
			client := ticketClient(version, clock)
			if visit(t, server, client) {
				t.Fatal("resumed without a ticket")
			}
			first := client.ClientSessionCache.(*lastSession).session
			for i := range 5 {
				clock.pass(11 * time.Minute)
				// The first ticket is shown again each time: its key is an old one by now.
				client.ClientSessionCache = &lastSession{session: first}
				if !visit(t, []*tls.Config{server, other}[i%2], client) {
					t.Fatalf("not resumed after %d minutes", 11*(i+1))
				}
			}
			if keys := len(*tickets.keys.Load()); keys != 3 {
				t.Errorf("%d keys after 55 of 60 minutes, want that in use and two old ones", keys)
			}
			clock.pass(6 * time.Minute)
			client.ClientSessionCache = &lastSession{session: first}
			if visit(t, server, client) {
				t.Error("resumed after its time")
			}
			if !visit(t, server, client) {
				t.Error("the new session was not resumed")
			}
			clock.pass(24 * time.Hour)
			if visit(t, server, client) {
				t.Error("resumed after a day")
			}
			if keys := len(*tickets.keys.Load()); keys > ticketPeriods+1 {
				t.Errorf("%d keys are kept", keys)
			}
		})
	}
}

// A TLS 1.2 session that is resumed again and again ends with its time: its
// secret is the same all the while.
func TestTicketsOfTLS12Expire(t *testing.T) {
	clock := &ticketClock{}
	tickets, err := NewTickets(time.Hour, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	server, client := ticketServer(t, newStore(t, nil), tickets, false), ticketClient(tls.VersionTLS12, clock)
	visit(t, server, client)
	for minutes := 20; minutes <= 100; minutes += 20 {
		clock.pass(20 * time.Minute)
		if resumed := visit(t, server, client); resumed != (minutes != 60) {
			t.Errorf("after %d minutes: resumed is %t", minutes, resumed)
		}
	}
}

// A ticket is no good for another name, nor where a client certificate is
// asked for and was not.
func TestTicketsAreBound(t *testing.T) {
	s := newStore(t, nil)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			clock := &ticketClock{}
			tickets, err := NewTickets(time.Hour, clock.now)
			if err != nil {
				t.Fatal(err)
			}
			server, asking := ticketServer(t, s, tickets, false), ticketServer(t, s, tickets, true)
			client := ticketClient(version, clock)
			visit(t, server, client)
			session := client.ClientSessionCache.(*lastSession).session
			for _, c := range []struct {
				name   string
				server *tls.Config
				want   bool
			}{{"A.test", server, true}, {"b.test", server, false}, {"a.test", asking, false}, {"a.test", server, true}} {
				client.ClientSessionCache, client.ServerName = &lastSession{session: session}, c.name
				if got := visit(t, c.server, client); got != c.want {
					t.Errorf("%s: resumed is %t, want %t", c.name, got, c.want)
				}
			}
		})
	}
}

// A client certificate lives on in the ticket.
func TestTicketsHoldClientCertificates(t *testing.T) {
	clock := &ticketClock{}
	tickets, err := NewTickets(time.Hour, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	server := ticketServer(t, newStore(t, nil), tickets, true)
	var seen []string
	server.VerifyConnection = func(cs tls.ConnectionState) error {
		for _, c := range cs.PeerCertificates {
			seen = append(seen, c.Subject.CommonName)
		}
		return nil
	}
	client := ticketClient(tls.VersionTLS13, clock)
	own := namedCert(t, "client")
	pair, err := tls.X509KeyPair([]byte(own.Cert), []byte(own.Key))
	if err != nil {
		t.Fatal(err)
	}
	client.Certificates = []tls.Certificate{pair}
	if visit(t, server, client) || !visit(t, server, client) {
		t.Error("not resumed at the second visit only")
	}
	if got := strings.Join(seen, " "); got != "client client" {
		t.Errorf("certificates %q", got)
	}
}

func TestForgedTickets(t *testing.T) {
	clock := &ticketClock{}
	tickets, err := NewTickets(time.Hour, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	key := tickets.current()
	sealed := key.aead.Seal(bytes.Clone(key.name[:]), nil, make([]byte, 20), bound("a", false))
	for name, ticket := range map[string][]byte{
		"empty": nil, "short": key.name[:4], "only a name": key.name[:], "not a session": sealed, "other": []byte(strings.Repeat("x", 200)),
		"changed": append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1),
	} {
		if tickets.open("a", false, ticket) != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Many connections at the moment of a change of keys agree on one new key.
func TestTicketRotationRace(t *testing.T) {
	clock := &ticketClock{}
	tickets, err := NewTickets(time.Hour, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	clock.pass(30 * time.Minute)
	var wg sync.WaitGroup
	keys := make([]*ticketKey, 8)
	for i := range keys {
		wg.Go(func() { keys[i] = tickets.current() })
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Error("different keys")
		}
	}
}
