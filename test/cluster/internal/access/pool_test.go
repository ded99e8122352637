// SPDX-License-Identifier: Apache-2.0

package access

import (
	"io"
	"net"
	"net/netip"
	"reflect"
	"testing"
)

var pool = netip.MustParsePrefix("10.0.0.0/30")

func ip(text string) netip.Addr { return address(text) }

func TestAssign(t *testing.T) {
	tests := []struct {
		name     string
		services []Service
		want     map[string]string
	}{
		{"none", nil, map[string]string{}},
		{"first free", []Service{{Name: "a"}, {Name: "b"}}, map[string]string{"/a": "10.0.0.1", "/b": "10.0.0.2"}},
		{"keeps what it has", []Service{{Name: "a"}, {Name: "b", Address: ip("10.0.0.1")}}, map[string]string{"/a": "10.0.0.2", "/b": "10.0.0.1"}},
		{"the older keeps it", []Service{{Name: "a", Address: ip("10.0.0.3")}, {Name: "b", Address: ip("10.0.0.3")}}, map[string]string{"/a": "10.0.0.3", "/b": "10.0.0.1"}},
		{"foreign address is replaced", []Service{{Name: "a", Address: ip("192.0.2.1")}}, map[string]string{"/a": "10.0.0.1"}},
		{"wish is granted", []Service{{Name: "a", Wanted: ip("10.0.0.2")}, {Name: "b"}}, map[string]string{"/a": "10.0.0.2", "/b": "10.0.0.1"}},
		{"wish outside the pool", []Service{{Name: "a", Wanted: ip("192.0.2.1")}}, map[string]string{"/a": "10.0.0.1"}},
		{"network address is nobody's", []Service{{Name: "a", Wanted: ip("10.0.0.0")}}, map[string]string{"/a": "10.0.0.1"}},
		{"pool runs out", []Service{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}, map[string]string{"/a": "10.0.0.1", "/b": "10.0.0.2", "/c": "10.0.0.3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]string{}
			for key, address := range assign(pool, tt.services) {
				got[key] = address.String()
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func tcp(port int32) Port { return Port{Port: port, Protocol: "TCP"} }

func TestPlan(t *testing.T) {
	a := Service{Namespace: "n", Name: "a", Ports: []Port{tcp(80), {Port: 53, Protocol: "UDP"}}}
	b := Service{Namespace: "n", Name: "b", Ports: []Port{tcp(80)}}
	first := plan(100, 101, nil, []Service{a})
	want := []Forward{
		{Namespace: "n", Name: "a", Port: tcp(80), HostPort: 100},
		{Namespace: "n", Name: "a", Port: Port{Port: 53, Protocol: "UDP"}},
	}
	if !reflect.DeepEqual(first, want) {
		t.Fatalf("first plan %+v, want %+v", first, want)
	}
	both := plan(100, 101, first, []Service{b, a})
	if ports := hostPorts(both); ports["a"] != 100 || ports["b"] != 101 {
		t.Errorf("a new service moved an old one: %v", ports)
	}
	gone := plan(100, 101, both, []Service{b})
	if ports := hostPorts(gone); ports["a"] != 100 || ports["b"] != 101 {
		t.Errorf("the port of a service that is gone is not remembered: %v", ports)
	}
	back := plan(100, 101, gone, []Service{a, b})
	if ports := hostPorts(back); ports["a"] != 100 {
		t.Errorf("a service that came back has another port: %v", ports)
	}
	c := Service{Namespace: "n", Name: "c", Ports: []Port{tcp(80)}}
	scarce := plan(100, 101, gone, []Service{b, c})
	if ports := hostPorts(scarce); ports["c"] != 100 || ports["b"] != 101 {
		t.Errorf("a remembered port was not given up: %v", ports)
	}
	if _, kept := hostPorts(scarce)["a"]; kept {
		t.Error("two services hold one port")
	}
	full := plan(100, 101, nil, []Service{a, b, c})
	if ports := hostPorts(full); ports["c"] != 0 {
		t.Errorf("a port out of nothing: %v", ports)
	}
}

func hostPorts(forwards []Forward) map[string]int {
	out := map[string]int{}
	for _, f := range forwards {
		if f.Port.Protocol == "TCP" {
			out[f.Name] = f.HostPort
		}
	}
	return out
}

func TestForwarderPassesBothEnds(t *testing.T) {
	target, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	go func() {
		conn, err := target.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		// Answers only after the client has said that it is done.
		data, _ := io.ReadAll(conn)
		_, _ = conn.Write(append([]byte("got "), data...))
	}()
	f, err := NewForwarder(nil, "127.0.0.1:0", nil, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.SetTarget(target.Addr().String())
	go f.Serve()
	conn, err := net.Dial("tcp4", f.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || string(answer) != "got hello" {
		t.Errorf("answer %q, %v", answer, err)
	}
}
