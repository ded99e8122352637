// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxSRVDepth bounds SRV targets that are looked up in turn.
const maxSRVDepth = 2

// answer is the outcome of asking for a name.
type answer struct {
	records []Record
	err     error
	ttl     time.Duration
	kind    uint16 // the type of record that the name has
}

// serverError is what a server answered in place of records.
type serverError struct{ server, rcode string }

// Error implements error.
func (e *serverError) Error() string {
	return fmt.Sprintf("DNS server %s answered %s", e.server, e.rcode)
}

// query asks for a type of record after the other, and of each for the
// candidates of host in turn, until one has addresses. last is the type that
// had them before, 0 for none. Where no server can be reached it ends: another
// type might have another answer than the first one would have had.
func (r *Resolver) query(ctx context.Context, host string, last uint16, depth int) answer {
	notFound := answer{err: &Error{Name: host, Err: ErrNotFound}, ttl: r.config.NotFoundTTL}
	var failure error
	for _, t := range r.types(last, depth) {
		for _, name := range r.config.candidates(host) {
			a := r.ask(ctx, name, t, depth)
			var refused *serverError
			switch {
			case a.err == nil:
				a.kind = t
				return r.bounded(a)
			case errors.As(a.err, &refused):
				failure = a.err
			case !errors.Is(a.err, ErrNotFound):
				return answer{err: &Error{Name: host, Err: a.err}, ttl: r.config.ErrorTTL}
			case a.ttl > 0:
				notFound.ttl = min(notFound.ttl, a.ttl)
			}
		}
	}
	if failure != nil {
		return answer{err: &Error{Name: host, Err: failure}, ttl: r.config.ErrorTTL}
	}
	return notFound
}

func (r *Resolver) bounded(a answer) answer {
	a.ttl = max(a.ttl, minTTL)
	if r.config.ValidTTL > 0 {
		a.ttl = r.config.ValidTTL
	}
	return a
}

// types are the record types to ask for, each once.
func (r *Resolver) types(last uint16, depth int) []uint16 {
	var out []uint16
	for _, s := range r.config.Order {
		t := dns.StringToType[strings.ToUpper(s)]
		if strings.EqualFold(s, "LAST") {
			t = last
		}
		switch {
		case t == dns.TypeSRV && depth >= maxSRVDepth, slices.Contains(out, t):
		case t == dns.TypeSRV, t == dns.TypeA, t == dns.TypeAAAA:
			out = append(out, t)
		}
	}
	return out
}

// ask asks for one type of one name, going round the servers while they fail.
func (r *Resolver) ask(ctx context.Context, name string, t uint16, depth int) answer {
	if _, ok := dns.IsDomainName(name); !ok {
		return answer{err: ErrNotFound}
	}
	err := errors.New("no DNS server is configured")
	for range r.config.Attempts {
		for _, server := range r.config.Servers {
			var m *dns.Msg
			if m, err = r.exchange(ctx, server, name, t); err != nil {
				continue
			}
			switch m.Rcode {
			case dns.RcodeSuccess:
				return r.read(ctx, m, name, t, depth)
			case dns.RcodeNameError:
				return answer{err: ErrNotFound, ttl: negativeTTL(m)}
			default:
				err = &serverError{server, dns.RcodeToString[m.Rcode]}
			}
		}
	}
	return answer{err: err}
}

// exchange asks one server, by TCP when the answer does not fit into UDP.
func (r *Resolver) exchange(ctx context.Context, server, name string, t uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, t)
	q.SetEdns0(1232, false)
	client := dns.Client{Timeout: r.config.Timeout}
	m, _, err := client.ExchangeContext(ctx, q, server)
	if err == nil && m.Truncated {
		client.Net = "tcp"
		m, _, err = client.ExchangeContext(ctx, q, server)
	}
	if err != nil {
		return nil, fmt.Errorf("DNS server %s: %w", server, err)
	}
	if len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, name) || m.Question[0].Qtype != t {
		return nil, fmt.Errorf("DNS server %s answered another question", server)
	}
	return m, nil
}

// read takes the records out of a positive answer.
func (r *Resolver) read(ctx context.Context, m *dns.Msg, name string, t uint16, depth int) answer {
	var out answer
	var srv []*dns.SRV
	owner, ttl := followCNAMEs(m.Answer, name)
	for _, rr := range m.Answer {
		if !strings.EqualFold(rr.Header().Name, owner) || rr.Header().Rrtype != t {
			continue
		}
		ttl = min(ttl, rr.Header().Ttl)
		switch x := rr.(type) {
		case *dns.A:
			out.add(x.A)
		case *dns.AAAA:
			out.add(x.AAAA)
		case *dns.SRV:
			srv = append(srv, x)
		}
	}
	out.ttl = time.Duration(ttl) * time.Second
	// Kubernetes has a record for each host that leads to itself.
	itself := func(s *dns.SRV) bool { return strings.EqualFold(s.Target, owner) }
	if t == dns.TypeSRV && slices.ContainsFunc(srv, func(s *dns.SRV) bool { return !itself(s) }) {
		r.followSRV(ctx, srv, depth, &out)
	}
	if len(out.records) == 0 && out.err == nil {
		return answer{err: ErrNotFound, ttl: negativeTTL(m)}
	}
	return out
}

// followCNAMEs returns the name at the end of name's chain of aliases and the
// shortest TTL on the way.
func followCNAMEs(answer []dns.RR, name string) (owner string, ttl uint32) {
	owner, ttl = name, ^uint32(0)
	for range answer { // a chain is never longer than the answer
		for _, rr := range answer {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, owner) {
				owner, ttl = c.Target, min(ttl, c.Hdr.Ttl)
				break
			}
		}
	}
	return owner, ttl
}

func (a *answer) add(ip []byte) {
	if addr, ok := netip.AddrFromSlice(ip); ok {
		a.records = append(a.records, Record{Addr: addr.Unmap()})
	}
}

// followSRV resolves the targets with the lowest priority number.
func (r *Resolver) followSRV(ctx context.Context, srv []*dns.SRV, depth int, out *answer) {
	best := uint16(65535)
	for _, s := range srv {
		best = min(best, s.Priority)
	}
	var failure error
	for _, s := range srv {
		if s.Priority != best || s.Target == "." {
			continue
		}
		a := r.query(ctx, s.Target, 0, depth+1)
		if a.err != nil {
			failure = a.err
			continue
		}
		out.ttl = min(out.ttl, a.ttl)
		for _, rec := range a.records {
			out.records = append(out.records, Record{Addr: rec.Addr, Port: s.Port, Weight: max(1, int(s.Weight)), Name: canonical(s.Target)})
		}
	}
	if len(out.records) == 0 && failure != nil {
		out.err = failure
	}
}

// negativeTTL is how long a negative answer holds (RFC 2308); 0 if unsaid.
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return max(minTTL, time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second)
		}
	}
	return 0
}
