// SPDX-License-Identifier: Apache-2.0

// Package configsync holds what both ends of the configuration stream share:
// records, positions, settings and schema announcements. The manager's end is
// in server, the proxy's in client, the messages in wire; content is the
// hashed map that both ends keep, shard the form in which a snapshot lies in
// Secrets and on disk for cold starts.
//
// Everything that travels is a Record: an entity, or a setting of the gateway
// under one of the reserved kinds. A snapshot is a set of records with one
// hash over all of them, at a Position.
package configsync

// Protocol is the version of the stream's messages.
const Protocol = 1

// Port is where the leading manager listens for streams. The proxies' sidecars
// do not capture connections to it.
const Port = 8005
