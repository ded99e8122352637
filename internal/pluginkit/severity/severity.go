// SPDX-License-Identifier: Apache-2.0

// Package severity says how severe the record of a request is, for log plugins
// that speak syslog (RFC 5424, 6.2.1).
package severity

import "slices"

// names are the severities under Kong's names, by their number.
var names = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// Facilities under Kong's names, by their number.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// User is the facility of programs without one of their own.
const User = "user"

// Rules are the fields of a config that decide.
type Rules struct {
	// Level is the least severity that is logged.
	Level        string `json:"log_level"`
	Successful   string `json:"successful_severity"`
	ClientErrors string `json:"client_errors_severity"`
	ServerErrors string `json:"server_errors_severity"`
}

// Priority returns the priority of a record: facility and severity in one
// number. wanted is false where the severity is below the level. A session has
// the status 0.
func (r *Rules) Priority(facility string, status int) (priority int, wanted bool) {
	name := r.Successful
	switch {
	case status >= 500:
		name = r.ServerErrors
	case status >= 400:
		name = r.ClientErrors
	}
	severity := slices.Index(names, name)
	return slices.Index(facilities, facility)*8 + severity, severity <= slices.Index(names, r.Level)
}
