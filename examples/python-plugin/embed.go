// Package pythonplugin has the Python side of the line to the host, for
// `switchboard plugins new` to write it beside a new plugin.
package pythonplugin

import "embed"

// Line holds the Python package: src/switchboard_plugin and its files.
//
//go:embed src/switchboard_plugin/*.py
var Line embed.FS
