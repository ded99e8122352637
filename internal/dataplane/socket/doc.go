// SPDX-License-Identifier: Apache-2.0

// Package socket reads and writes TCP sockets with less help from Go's
// scheduler than package net asks for.
//
// Before a system call that may block, package syscall tells the scheduler, and
// the runtime's monitor is woken to look after the call. A socket in
// non-blocking mode never blocks: what the scheduler does for such a call is
// lost, and on a machine that is not busy the monitor, which then runs several
// thousand times a second, takes a core's time from the requests. So the calls
// here are made without it (syscall.RawSyscall). Waiting is left to the
// runtime's poller, with the deadlines of package net.
package socket
