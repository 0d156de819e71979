// Package schema holds the shapes of package event as JSON Schemas (draft
// 2020-12), for everyone who does not write Go.
//
// The data of events is what the backend said, so their schemas allow what
// they do not name and tell the kinds of things only. The bodies of actions
// are checked, and refused with a field too much: their schemas say just what
// [event.Action.Check] accepts.
package schema

import "embed"

// FS has one file for each shape: conversation, message, typing and
// action-result, and one for the body of each action by the action's name; each
// with the ending .schema.json.
//
//go:embed *.schema.json
var FS embed.FS
