// SPDX-License-Identifier: Apache-2.0

// Package vault gives the data plane the values that vault references stand for
// (https://developer.konghq.com/gateway/entities/vault/). Entities keep their
// references wherever they are stored, compared or shown; only what runs has
// values: a plugin with references is configured anew when one of its values
// changes, and no request pays for any of it.
//
// A value is read again when its time to live is over. While it cannot be read
// the last one goes on, for resurrect_ttl or without end. An entity of which a
// reference has no value at all cannot be used: a plugin answers 500, a
// certificate or credential is left out.
//
// Where the configuration comes from many namespaces, an entity sees secrets of
// its own namespace only: variables that begin with the namespace's name and a
// dot, files in the namespace's directory.
package vault
