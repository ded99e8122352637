// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"strconv"
)

// ErrNeedMore says that the message is fine so far and not complete: call again with more bytes.
var ErrNeedMore = errors.New("http1: message is incomplete")

// Error is a refusal of a message. All values are preallocated; compare them with ==.
type Error struct {
	// Status is the status to answer the client with: 400, 405, 413, 414, 501 or 505 for a request, 502 for a response.
	Status int
	// Message is what Kong's error template shows for it.
	Message string
	// Reason says what is wrong with the message, for logs. It never holds bytes of the message.
	Reason string
}

// Error implements error.
func (e *Error) Error() string {
	return "http1: " + strconv.Itoa(e.Status) + " " + e.Message + ": " + e.Reason
}

// fault is the outcome of a state machine, before it is known whether it read a request or a response.
type fault uint8

const (
	faultNone fault = iota
	faultNeedMore
	faultEmptyLines
	faultMethod
	faultConnect
	faultMethodRefused
	faultTarget
	faultPath
	faultRequestLine
	faultVersion
	faultUnsupportedVersion
	faultURITooLong
	faultHeadTooLarge
	faultBareCR
	faultBareLF
	faultFold
	faultName
	faultBlankBeforeColon
	faultValue
	faultNoHost
	faultTwoHosts
	faultRepeated
	faultHost
	faultLength
	faultTwoLengths
	faultLengthAndCoding
	faultTwoCodings
	faultCoding
	faultCodingVersion
	faultUnderscoreFraming
	faultConnectionOptions
	faultBodyTooLarge
	faultStatusLine
	faultChunkSize
	faultChunkExtension
	faultChunkEnd
	faultChunkOverhead
	faultTrailers
	faultCount
)

const (
	messageBadRequest  = "Bad request"
	messageBadUpstream = "An invalid response was received from the upstream server"
)

// faults holds the status and reason of each; no status means 400.
var faults = [faultCount]struct {
	status  int
	message string
	reason  string
}{
	faultEmptyLines:         {reason: "too many empty lines before the request line"},
	faultMethod:             {reason: "the method is not a token"},
	faultConnect:            {reason: "CONNECT is refused"},
	faultMethodRefused:      {405, "Method not allowed", "CONNECT and TRACE are refused"},
	faultTarget:             {reason: "the request target is malformed"},
	faultPath:               {reason: "the path has a malformed escape, an escaped NUL or leaves the root"},
	faultRequestLine:        {reason: "the request line is malformed"},
	faultVersion:            {reason: "the HTTP version is malformed"},
	faultUnsupportedVersion: {505, "HTTP version not supported", "the HTTP version is not 1.0 or 1.1"},
	faultURITooLong:         {414, "URI too long", "the request line is too long"},
	faultHeadTooLarge:       {400, "Request header or cookie too large", "a header line, the header block or the number of fields is over its limit"},
	faultBareCR:             {reason: "CR without LF"},
	faultBareLF:             {reason: "LF without CR"},
	faultFold:               {reason: "a header line starts with a blank"},
	faultName:               {reason: "a field name is not a token followed by a colon"},
	faultBlankBeforeColon:   {reason: "blank between field name and colon"},
	faultValue:              {reason: "control character in a field value"},
	faultNoHost:             {reason: "Host is missing"},
	faultTwoHosts:           {reason: "more than one Host"},
	faultRepeated:           {reason: "a field that may be there once is repeated"},
	faultHost:               {reason: "Host is malformed"},
	faultLength:             {reason: "Content-Length is not a number"},
	faultTwoLengths:         {reason: "more than one Content-Length"},
	faultLengthAndCoding:    {reason: "Content-Length together with Transfer-Encoding"},
	faultTwoCodings:         {reason: "more than one Transfer-Encoding"},
	faultCoding:             {501, "Not implemented", "a transfer coding other than chunked"},
	faultCodingVersion:      {reason: "Transfer-Encoding in an HTTP/1.0 message"},
	faultUnderscoreFraming:  {reason: "Content_Length or Transfer_Encoding, which may be taken for framing"},
	faultConnectionOptions:  {reason: "too many connection options"},
	faultBodyTooLarge:       {413, "Payload too large", "the body is over its limit"},
	faultStatusLine:         {reason: "the status line is malformed"},
	faultChunkSize:          {reason: "malformed chunk size"},
	faultChunkExtension:     {reason: "malformed chunk extension"},
	faultChunkEnd:           {reason: "chunk data is not followed by CRLF"},
	faultChunkOverhead:      {reason: "chunk lines too long for the data they carry"},
	faultTrailers:           {reason: "trailer section over its limit"},
}

var requestErrors, responseErrors = buildErrors()

func buildErrors() (requests, responses [faultCount]Error) {
	for i, f := range faults {
		if f.status == 0 {
			f.status, f.message = 400, messageBadRequest
		}
		requests[i] = Error{f.status, f.message, f.reason}
		responses[i] = Error{502, messageBadUpstream, f.reason}
	}
	return requests, responses
}

func (f fault) request() error {
	if f == faultNeedMore {
		return ErrNeedMore
	}
	return &requestErrors[f]
}

func (f fault) response() error {
	if f == faultNeedMore {
		return ErrNeedMore
	}
	return &responseErrors[f]
}
