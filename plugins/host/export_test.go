package host

import "github.com/switchboard-dev/switchboard/plugins/host/filter"

// Sharing are the options of a plugin that shares what was decoded.
func Sharing(o Options, c *filter.Cache) Options {
	o.decoded = c
	return o
}
