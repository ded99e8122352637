// SPDX-License-Identifier: Apache-2.0

// Package offline translates manifests without a cluster: what a gateway would
// run if exactly these objects existed.
package offline

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	kongv1alpha1 "github.com/kong/kubernetes-configuration/api/configuration/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kong/kong-istio-gateway/internal/controlplane/store"
	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// Manifests is what Read found.
type Manifests struct {
	Objects []client.Object
	// Skipped are the kinds of objects that translation does not read.
	Skipped []metav1.TypeMeta
	// Remarks tell, one a line, of fields that an object's kind does not have, or
	// that it says twice: kubectl would refuse them.
	Remarks []string
}

// Decode is Read without the remarks.
func Decode(r io.Reader) (objects []client.Object, skipped []metav1.TypeMeta, err error) {
	m, err := Read(r)
	return m.Objects, m.Skipped, err
}

// Read reads a stream of YAML or JSON documents, Lists among them.
func Read(r io.Reader) (Manifests, error) {
	kinds, err := deserializer()
	if err != nil {
		return Manifests{}, err
	}
	d := decoder{Decoder: kinds}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return d.Manifests, nil
		}
		if err == nil {
			err = d.document(document)
		}
		if err != nil {
			return Manifests{}, fmt.Errorf("document %d: %w", n, err)
		}
	}
}

// deserializer knows the kinds that the store keeps.
var deserializer = sync.OnceValues(func() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	if err := store.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), nil
})

// decoder collects what one call of Decode reads.
type decoder struct {
	runtime.Decoder
	Manifests
}

// document reads an object or, as kubectl get prints them, a List of objects.
func (d *decoder) document(document []byte) error {
	if len(bytes.TrimSpace(document)) == 0 {
		return nil
	}
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	switch kind {
	case metav1.TypeMeta{}:
		return nil // comments only
	case metav1.TypeMeta{APIVersion: "v1", Kind: "List"}:
		return d.list(document)
	}
	decoded, _, err := d.Decode(document, nil, nil)
	strict, misspelt := runtime.AsStrictDecodingError(err)
	if err != nil && !misspelt && !runtime.IsNotRegisteredError(err) {
		return err
	}
	o, ok := decoded.(client.Object)
	if ok {
		_, ok = store.KeyOf(o)
	}
	if !ok {
		d.Skipped = append(d.Skipped, kind)
		return nil
	}
	if o.GetName() == "" {
		return fmt.Errorf("%s has no metadata.name", kind.Kind)
	}
	o = namespaced(o)
	d.Objects = append(d.Objects, o)
	if misspelt {
		for _, e := range strict.Errors() {
			d.Remarks = append(d.Remarks, fmt.Sprintf("%s %s: %s", kind.Kind, strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"), e))
		}
	}
	return nil
}

func (d *decoder) list(document []byte) error {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := yaml.Unmarshal(document, &list); err != nil {
		return err
	}
	for i, item := range list.Items {
		if err := d.document(item); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return nil
}

// namespaced gives objects without a namespace the default one, as kubectl
// does, and fills what the API server would.
func namespaced(o client.Object) client.Object {
	switch o := o.(type) {
	case *netv1.IngressClass, *kongv1.KongClusterPlugin, *kongv1alpha1.KongVault:
		o.SetNamespace("")
		return o
	case *corev1.Secret:
		for k, v := range o.StringData {
			if o.Data == nil {
				o.Data = make(map[string][]byte)
			}
			o.Data[k] = []byte(v)
		}
		o.StringData = nil
	}
	if o.GetNamespace() == "" {
		o.SetNamespace("default")
	}
	return o
}

// Result is the outcome of Translate.
type Result struct {
	// Set holds all entities, each kind sorted by name and id.
	Set      *entity.Set
	Problems []fragment.Problem
	Backends []fragment.Backend
}

// Translate returns what a gateway with these settings would run.
func Translate(objects []client.Object, settings fragment.Settings, schemas entity.SchemaSet) *Result {
	s := store.New(schemas)
	secrets := make(map[types.NamespacedName]*corev1.Secret)
	for _, o := range objects {
		if secret, ok := o.(*corev1.Secret); ok {
			secrets[client.ObjectKeyFromObject(secret)] = secret
			continue
		}
		s.Set(o)
	}
	gateway := types.NamespacedName{Name: "offline"}
	s.SetGateway(gateway, settings)
	units := make(map[fragment.Owner][]entity.Entity)
	var summary store.Summary
	for {
		for _, d := range s.Deliver() {
			for _, f := range d.Changed {
				units[f.Owner] = f.Entities
			}
			for _, o := range d.Removed {
				delete(units, o)
			}
			summary = d.Summary
		}
		wanted := s.WantedSecrets()
		if len(wanted) == 0 {
			break
		}
		for _, w := range wanted {
			s.AnswerSecret(w, secrets[types.NamespacedName{Namespace: w.Namespace, Name: w.Name}])
		}
	}
	return &Result{Set: collect(units), Problems: s.Problems(gateway), Backends: summary.Backends}
}

// collect puts the entities of all units into a set, in an order that does not
// depend on how they came about.
func collect(units map[fragment.Owner][]entity.Entity) *entity.Set {
	var all []entity.Entity
	for _, o := range slices.SortedFunc(maps.Keys(units), fragment.Owner.Compare) {
		all = append(all, units[o]...)
	}
	slices.SortStableFunc(all, func(a, b entity.Entity) int { return strings.Compare(sortName(a), sortName(b)) })
	set := new(entity.Set)
	for _, e := range all {
		set.Add(e)
	}
	return set
}

// sortName orders entities for people who read the file.
func sortName(e entity.Entity) string {
	switch e := e.(type) {
	case *entity.Service:
		return e.Name
	case *entity.Route:
		return e.Name
	case *entity.Upstream:
		return e.Name
	case *entity.Target:
		return e.Target
	case *entity.Plugin:
		return e.Name
	case *entity.Consumer:
		return e.Username
	case *entity.ConsumerGroup:
		return e.Name
	case *entity.Credential:
		return e.Type
	case *entity.SNI:
		return e.Name
	}
	return ""
}
