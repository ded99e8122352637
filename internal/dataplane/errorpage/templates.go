// SPDX-License-Identifier: Apache-2.0

package errorpage

import (
	"errors"
	"fmt"
	"strings"
)

// Templates are the texts of error bodies, by media type. The zero value has
// none: use DefaultTemplates.
type Templates [GRPC]template

// template is a text around the message and the request id, either of which it
// may leave out.
type template struct {
	before, between, after string
	message, requestID     bool
}

// DefaultTemplates returns Kong's.
func DefaultTemplates() Templates {
	var t Templates
	for media, text := range defaultTexts {
		t[media], _ = parse(text)
	}
	return t
}

var defaultTexts = map[Type]string{
	JSON:  "{\n  \"message\":\"%s\",\n  \"request_id\":\"%s\"\n}",
	Plain: "%s\nrequest_id: %s\n",
	HTML: "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n" +
		"  <body>\n    <h1>Error</h1>\n    <p>%s.</p>\n    <p>request_id: %s</p>\n  </body>\n</html>\n",
	XML: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>%s</message>\n  <requestid>%s</requestid>\n</error>\n",
}

// Replace makes a text the template of a media type (Kong: error_template_html
// and the like). The first %s in it stands for the message, the second for the
// request id; both may be left out, and a percent sign is written twice.
func (t *Templates) Replace(media Type, text string) error {
	own, err := parse(text)
	if err == nil {
		t[media] = own
	}
	return err
}

func parse(text string) (t template, err error) {
	parts := []*string{&t.before, &t.between, &t.after}
	holders := 0
	var part strings.Builder
	for text != "" {
		var plain string
		var found bool
		if plain, text, found = strings.Cut(text, "%"); !found {
			part.WriteString(plain)
			break
		}
		part.WriteString(plain)
		switch {
		case strings.HasPrefix(text, "%"):
			part.WriteByte('%')
		case !strings.HasPrefix(text, "s"):
			return t, fmt.Errorf("%%%.1s is neither %%s, which stands for the message and then for the request id, nor %%%%, a percent sign", text)
		case holders == 2:
			return t, errors.New("more than two %s: the first stands for the message, the second for the request id")
		default:
			*parts[holders] = part.String()
			part.Reset()
			holders++
		}
		text = text[1:]
	}
	*parts[holders] = part.String()
	t.message, t.requestID = holders > 0, holders > 1
	return t, nil
}

// Append appends the body for message to dst. Unlike Kong, which inserts the
// message as it is, it is escaped as the media type asks: a plugin's message
// may hold what a client sent. GRPC has no body.
func (t *Templates) Append(dst []byte, media Type, message, requestID string) []byte {
	if media >= GRPC {
		return dst
	}
	own := &t[media]
	dst = append(dst, own.before...)
	if own.message {
		dst = appendEscaped(dst, media, message)
	}
	dst = append(dst, own.between...)
	if own.requestID {
		dst = append(dst, requestID...)
	}
	return append(dst, own.after...)
}

func appendEscaped(dst []byte, media Type, message string) []byte {
	switch media {
	case HTML, XML:
		return appendMarkup(dst, message)
	case JSON:
		return appendJSON(dst, message)
	default:
		return append(dst, message...)
	}
}
