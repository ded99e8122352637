// SPDX-License-Identifier: Apache-2.0

package store

import corev1 "k8s.io/api/core/v1"

// secrets keeps the Secrets that units look at, and only those. Their content
// is read one by one; metadata events tell when to read again.
type secrets struct {
	entries map[Key]*secretEntry
	wanted  []Key
}

type secretEntry struct {
	secret *corev1.Secret
	known  bool
	// epoch grows with every event, so that an answer that was under way when
	// the Secret changed is not taken for its current content.
	epoch  uint64
	queued bool
}

func newSecrets() secrets { return secrets{entries: make(map[Key]*secretEntry)} }

func (s *secrets) get(key Key) (secret *corev1.Secret, known bool) {
	e := s.entries[key]
	if e == nil {
		return nil, false
	}
	return e.secret, e.known
}

// want asks for a Secret that is not being kept yet.
func (s *secrets) want(key Key) {
	if s.entries[key] == nil {
		s.entries[key] = &secretEntry{}
		s.enqueue(key)
	}
}

func (s *secrets) enqueue(key Key) {
	if e := s.entries[key]; !e.queued {
		e.queued = true
		s.wanted = append(s.wanted, key)
	}
}

// SecretRequest is a Secret that has to be read.
type SecretRequest struct {
	Namespace string
	Name      string
	epoch     uint64
}

// WantedSecrets returns the Secrets that have to be read, each once. The answer
// goes to AnswerSecret.
func (s *Store) WantedSecrets() []SecretRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []SecretRequest
	for _, key := range s.secrets.wanted {
		if e := s.secrets.entries[key]; e != nil {
			e.queued = false
			list = append(list, SecretRequest{key.Namespace, key.Name, e.epoch})
		}
	}
	s.secrets.wanted = nil
	return list
}

// AnswerSecret records the content of a Secret, nil if it does not exist. An
// answer that an event has overtaken is dropped; the Secret is wanted again.
func (s *Store) AnswerSecret(request SecretRequest, secret *corev1.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Key{KindSecret, request.Namespace, request.Name}
	e := s.secrets.entries[key]
	switch {
	case e == nil:
		return
	case e.epoch != request.epoch:
		if !e.known || e.secret != nil {
			s.secrets.enqueue(key)
			s.notify()
		}
		return
	case e.known && e.secret != nil && secret != nil && sameForTranslation(e.secret, secret):
		return
	case e.known && e.secret == nil && secret == nil:
		return
	}
	e.secret, e.known = secret, true
	s.touchObject(key)
}

// RetrySecret asks for a Secret again that could not be read.
func (s *Store) RetrySecret(request SecretRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Key{KindSecret, request.Namespace, request.Name}
	if s.secrets.entries[key] != nil {
		s.secrets.enqueue(key)
		s.notify()
	}
}

// SecretChanged tells that a Secret was created or changed: it is read again if
// a unit looks at it.
func (s *Store) SecretChanged(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Key{KindSecret, namespace, name}
	if e := s.secrets.entries[key]; e != nil {
		e.epoch++
		s.secrets.enqueue(key)
		s.notify()
	}
}

// SecretDeleted tells that a Secret is gone, which takes effect at once.
func (s *Store) SecretDeleted(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := Key{KindSecret, namespace, name}
	e := s.secrets.entries[key]
	if e == nil {
		return
	}
	e.epoch++
	if e.known && e.secret == nil {
		return
	}
	e.secret, e.known = nil, true
	s.touchObject(key)
}

// unreadSecret forgets a Secret that no unit of any gateway looks at.
func (s *Store) unreadSecret(key Key) {
	for _, g := range s.graphs {
		if g.read(onObject(key)) {
			return
		}
	}
	delete(s.secrets.entries, key)
}
