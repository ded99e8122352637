// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"github.com/kong/kong-istio-gateway/test/cluster/internal/access"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/cluster"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/layout"
	"github.com/kong/kong-istio-gateway/test/cluster/internal/node"
)

// running returns the cluster's node, or an error that says to bring it up.
func (a *app) running(fs *flag.FlagSet, args []string) (*cluster.Cluster, *node.Client, error) {
	c, err := a.parsed(fs, args)
	if err != nil {
		return nil, nil, err
	}
	client, err := node.Connect(c.Record())
	if err == nil && client == nil {
		err = cluster.ErrDown
	}
	return c, client, err
}

func runClient(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	source := fs.String("source", "", "IPv4 address to add to the client first")
	c, client, err := a.running(fs, args)
	if err != nil {
		return err
	}
	if *source != "" {
		address, err := netip.ParseAddr(*source)
		if err != nil {
			return usagef("client: --source %q is not an address", *source)
		}
		if err := client.AddClientAddress(ctx, address); err != nil {
			return err
		}
	}
	if fs.NArg() == 0 {
		return usagef("client: name a command to run in the client namespace")
	}
	return a.runPassThrough(client.ClientCommand(ctx, c.Executable(), fs.Args()...))
}

func runNode(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	c, client, err := a.running(fs, args)
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return usagef("node: name a command to run in the node")
	}
	return a.runPassThrough(client.Command(ctx, c.Executable(), fs.Args()...))
}

func runForward(a *app, ctx context.Context, fs *flag.FlagSet, args []string) error {
	listen := fs.String("listen", "127.0.0.1:0", "address of the host to listen on")
	_, client, err := a.running(fs, args)
	if err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usagef("forward: want one ADDRESS:PORT inside the cluster")
	}
	target, err := netip.ParseAddrPort(fs.Arg(0))
	if err != nil {
		return usagef("forward: %q: want a numeric ADDRESS:PORT", fs.Arg(0))
	}
	inside, err := os.Open("/proc/" + strconv.Itoa(client.Process().PID) + "/ns/net")
	if err != nil {
		return err
	}
	defer inside.Close()
	forwarder, err := access.NewForwarder(nil, *listen, &access.Namespace{FD: int(inside.Fd())}, target.String())
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, forwarder.Addr())
	go forwarder.Serve()
	<-ctx.Done()
	return forwarder.Close()
}

// The commands below are the program calling itself.

func runInit(_ *app, _ context.Context, _ *flag.FlagSet, args []string) error {
	if len(args) != 2 {
		return usagef("%s is for internal use", node.InitCommand)
	}
	return node.RunInit(args[0], args[1])
}

func runAccess(_ *app, ctx context.Context, _ *flag.FlagSet, args []string) error {
	if len(args) != 3 {
		return usagef("this command is for internal use")
	}
	// Forwarders work with these two; programs that this one starts must not.
	syscall.CloseOnExec(node.HostNetFD)
	syscall.CloseOnExec(node.ClientNetFD)
	first, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	return access.Run(ctx, access.Options{Kubeconfig: args[0], State: args[1], Ports: layout.PortBlock{First: first}})
}

func runEnter(_ *app, _ context.Context, _ *flag.FlagSet, args []string) error {
	if len(args) < 2 {
		return usagef("%s is for internal use", node.EnterCommand)
	}
	status, err := node.RunInNode(args[0], args[1:])
	if err == nil && status != 0 {
		return errStatus(status)
	}
	return err
}

func runInClient(_ *app, _ context.Context, _ *flag.FlagSet, args []string) error {
	if len(args) < 2 {
		return usagef("%s is for internal use", node.ClientCommand)
	}
	return node.ExecInClient(args[0], args[1:])
}
