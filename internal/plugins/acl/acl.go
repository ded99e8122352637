// SPDX-License-Identifier: Apache-2.0

// Package acl admits consumers by their groups
// (https://docs.konghq.com/hub/kong-inc/acl/). It keeps no state.
package acl

import (
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// Registration makes the plugin known to the data plane.
var Registration = plugin.Registration{Name: "acl", Priority: 950, Configure: configure}

const collection = "acls"

type config struct {
	Allow            []string `json:"allow"`
	Deny             []string `json:"deny"`
	HideGroupsHeader bool     `json:"hide_groups_header"`
}

func configure(c plugin.Config) (*plugin.Phases, error) {
	conf := &config{}
	if err := schema.Decode(c.Values, conf); err != nil {
		return nil, err
	}
	return &plugin.Phases{Access: conf.access}, nil
}

var (
	unauthorized = plugin.Reply{Status: 401, Message: "Unauthorized"}
	forbidden    = plugin.Reply{Status: 403, Message: "You cannot consume this service"}
)

func (c *config) access(x plugin.Exchange) {
	id := x.Identity()
	authenticated := id.Credential != nil || id.CredentialID != ""
	if id.Consumer == nil {
		// Without a consumer nobody gave groups that could be looked at.
		x.Exit(map[bool]plugin.Reply{true: forbidden, false: unauthorized}[authenticated])
		return
	}
	groups := groupsOf(x.Directory(), id.Consumer.ID)
	switch {
	case c.admits(groups):
	case !authenticated && len(groups) == 0:
		x.Exit(unauthorized) // the anonymous consumer could still authenticate
		return
	default:
		x.Exit(forbidden)
		return
	}
	// A header of the client's own never reaches the upstream.
	x.Header().Del("X-Consumer-Groups")
	if !c.HideGroupsHeader {
		x.Header().Set("X-Consumer-Groups", strings.Join(groups, ", "))
	}
}

func groupsOf(people plugin.Directory, consumer entity.ID) []string {
	var groups []string
	for _, credential := range people.Credentials(collection, consumer) {
		if group, ok := credential.Fields["group"].(string); ok {
			groups = append(groups, group)
		}
	}
	return groups
}

func (c *config) admits(groups []string) bool {
	member := func(list []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(list, g) })
	}
	if len(c.Deny) > 0 {
		return !member(c.Deny)
	}
	return member(c.Allow)
}
