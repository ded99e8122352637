// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

// held is an entity with references, and what runs for it. It does not change.
type held struct {
	raw entity.Entity
	// references are in the order of their fields; secrets and texts lie beside
	// them as far as they could be told.
	references []reference
	secrets    []secret
	plain      []string // values that are in given
	// given is what the data plane runs: raw with values, what answers instead
	// of it, or nil for nothing.
	given entity.Entity
	// good is the last one that was raw with values, nil if there never was.
	good entity.Entity
	// problem is why it cannot be used, nil if it can; trouble why its values
	// are not those of now.
	problem *entity.Problem
	trouble string
}

type reference struct{ field, text string }

// hold returns what is known of an entity's references, nil when it has none.
// was is what was known of the entity before, nil if nothing.
func (l *Layer) hold(s *state, e entity.Entity, was *held) *held {
	h := &held{raw: e}
	entity.MapReferences(e, l.options.Schemas, func(field, text string) string {
		h.references = append(h.references, reference{field, text})
		return text
	})
	if len(h.references) == 0 {
		return nil
	}
	if was != nil && (was.raw == e || reflect.DeepEqual(was.raw, e)) {
		h.good = was.good
	} else {
		was = nil
	}
	owner, err := l.owner(e)
	if err != nil {
		l.fail(h, h.references[0].field, h.references[0].text+" is refused: "+err.Error())
		return h
	}
	texts := map[reference]string{}
	for _, r := range h.references {
		secret, err := l.locate(s, r.text, owner)
		if err != nil {
			l.fail(h, r.field, r.text+": "+err.Error())
			continue
		}
		h.secrets = append(h.secrets, secret)
		v := l.values.get(secret)
		switch {
		case !v.known:
			l.fail(h, r.field, r.text+" cannot be resolved: "+v.failure.Error())
		case v.failure != nil:
			h.trouble = r.field + ": " + r.text + " cannot be resolved: " + v.failure.Error()
		}
		texts[r] = v.text
		h.plain = append(h.plain, v.text)
	}
	if h.problem == nil {
		l.fill(h, was, texts)
	}
	return h
}

// fill puts the values in, or keeps the last ones if these do not fit.
func (l *Layer) fill(h, was *held, texts map[reference]string) {
	filled := entity.MapReferences(h.raw, l.options.Schemas, func(field, text string) string { return texts[reference{field, text}] })
	problems := entity.CheckEntity(filled, l.options.Schemas)
	switch {
	case len(problems) == 0 && h.good != nil && reflect.DeepEqual(h.good, filled):
		h.given = h.good
	case len(problems) == 0:
		h.given, h.good = filled, filled
	case h.good != nil:
		// Files are exchanged one by one: a certificate may be read before its
		// key is.
		h.trouble = h.unfit(problems[0])
		h.given, h.plain = h.good, append(h.plain, was.plain...)
		l.hurry(h)
	default:
		l.fail(h, problems[0].Field, h.unfit(problems[0]))
	}
}

// unfitRetry is how soon values are read again that do not fit.
const unfitRetry = 5 * time.Second

func (l *Layer) hurry(h *held) {
	soon := l.options.Now().Add(min(unfitRetry, l.options.Settings.Interval))
	for _, s := range h.secrets {
		if e := l.values.known[s]; e.next.IsZero() || soon.Before(e.next) {
			e.next = soon
		}
	}
}

// unfit says what is wrong with an entity once its values are in.
func (h *held) unfit(p entity.Problem) string {
	message := "the value of " + strings.Join(h.texts(), ", ") + " does not fit"
	if !h.leaks(p.Message) {
		message += ": " + p.Message
	}
	return message
}

// fail notes why the entity cannot be used; the first reason counts.
func (l *Layer) fail(h *held, field, message string) {
	if h.problem != nil {
		return
	}
	h.problem = &entity.Problem{Key: entity.KeyOf(h.raw), Name: entity.NameOf(h.raw), Field: field, Message: message}
	h.trouble, h.good, h.given = message, nil, nil
	if p, ok := h.raw.(*entity.Plugin); ok {
		h.given = l.standIn(p)
	}
}

// standIn returns what answers in place of a plugin that cannot be used, where
// that would have run and nowhere else.
func (l *Layer) standIn(p *entity.Plugin) *entity.Plugin {
	stand := entity.Unusable(p.Consumer != nil || p.ConsumerGroup != nil)
	stand.ID, stand.Tags, stand.Enabled, stand.Protocols = p.ID, p.Tags, p.Enabled, p.Protocols
	if stand.Protocols == nil {
		known, _ := l.options.Schemas.Plugin(p.Name)
		if stand.Protocols = known.DefaultProtocols; stand.Protocols == nil {
			stand.Protocols = entity.HTTPProtocols()
		}
	}
	stand.Route, stand.Service, stand.Consumer, stand.ConsumerGroup = p.Route, p.Service, p.Consumer, p.ConsumerGroup
	return &stand
}

// addTo adds what runs for the entity to a change.
func (h *held) addTo(d *entity.Delta) {
	if h.given == nil {
		d.Removed = append(d.Removed, entity.KeyOf(h.raw))
		return
	}
	d.Put = append(d.Put, h.given)
}

// uses reports whether a reference names one of these vaults.
func (h *held) uses(vaults map[string]bool) bool {
	return len(vaults) > 0 && slices.ContainsFunc(h.references, func(r reference) bool {
		parsed, err := schema.ParseReference(r.text)
		return err == nil && vaults[parsed.Vault]
	})
}

// texts returns the references as they are written, each once.
func (h *held) texts() []string {
	var out []string
	for _, r := range h.references {
		if !slices.Contains(out, r.text) {
			out = append(out, r.text)
		}
	}
	return out
}

// telling is how many bytes of a value in a row tell something of it.
const telling = 4

// leaks reports whether a message holds a value, or a part of one. What
// surrounds keys and certificates is no part of them.
func (h *held) leaks(message string) bool {
	for _, v := range h.plain {
		for line := range strings.SplitSeq(v, "\n") {
			if line == "" || strings.HasPrefix(line, "-----") {
				continue
			}
			n := min(len(line), telling)
			for i := 0; i+n <= len(line); i++ {
				if strings.Contains(message, line[i:i+n]) {
					return true
				}
			}
		}
	}
	return false
}

// owner returns whose secrets an entity sees.
func (l *Layer) owner(e entity.Entity) (scope, error) {
	if !l.options.Settings.Isolation {
		return "", nil
	}
	return scopeOf(entity.Tags(e))
}

// locate returns what a reference of an entity leads to.
func (l *Layer) locate(s *state, text string, owner scope) (secret, error) {
	r, err := schema.ParseReference(text)
	if err != nil {
		return secret{}, err
	}
	backend, config := r.Vault, map[string]any(nil)
	v := s.byPrefix[r.Vault]
	switch {
	case v != nil:
		backend, config = v.Name, v.Config
	case r.Vault == entity.VaultEnv && l.options.Settings.EnvPrefix != "":
		config = map[string]any{"prefix": l.options.Settings.EnvPrefix}
	case r.Vault != entity.VaultEnv && r.Vault != entity.VaultFile:
		return secret{}, fmt.Errorf("could not find vault (%s)", r.Vault)
	}
	full, err := entity.VaultConfig(backend, config, r.Options)
	if err != nil {
		return secret{}, err
	}
	out := secret{
		location: location{backend: backend, scope: owner, resource: r.Resource, key: r.Key, version: r.Version},
		ttl:      seconds(full, "ttl", l.options.Settings.Interval),
		negative: seconds(full, "neg_ttl", l.options.Settings.Interval), resurrect: seconds(full, "resurrect_ttl", unset),
	}
	if out.negative == 0 {
		out.negative = l.options.Settings.Interval
	}
	out.prefix, _ = full["prefix"].(string)
	out.directory, _ = full["directory"].(string)
	out.decode, _ = full["base64_decode"].(bool)
	return out, nil
}

func seconds(config map[string]any, name string, fallback time.Duration) time.Duration {
	n, ok := schema.Float(config[name])
	if !ok {
		return fallback
	}
	return time.Duration(n * float64(time.Second))
}
