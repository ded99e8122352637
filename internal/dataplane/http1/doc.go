// SPDX-License-Identifier: Apache-2.0

// Package http1 reads and writes HTTP/1.1 messages (RFC 9112) as state machines over bytes: no I/O, no clock, no
// goroutines, and no allocation once the reusable Request, Response, Decoder and Header values have grown.
//
// # Ownership
//
// A parsed head is a set of views into the buffer it was parsed from. They are valid until that buffer is reused or
// moved, which is the caller's to decide; bytes that must live longer are copied (Arena.Copy). Nothing here is safe for
// concurrent use; each connection has its own values.
//
// # Reading
//
// ParseRequest and ParseResponse are fed the same message from its first byte, each time with more bytes behind it,
// until they return something else than ErrNeedMore. They remember how far they came, so a head that trickles in is
// scanned once, and the outcome does not depend on where the message was split. The buffer may move between calls.
// Bodies go through a Decoder, which yields views into its input.
//
// # Strictness
//
// An ambiguous message is refused with an *Error, never repaired: repeated or conflicting framing, obs-fold, bare CR or
// LF, control characters, blanks before the colon, malformed targets, hosts, chunk sizes and extensions. Hop-by-hop
// fields are taken out while parsing (their facts are kept as booleans), so a client cannot use Connection to remove
// fields that are added later. Serialisers write the framing and connection fields themselves and ignore those of the
// header list, so a head can never carry two framings.
package http1
