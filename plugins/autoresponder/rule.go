package autoresponder

import (
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// rule is a [Rule], compiled. It is read only.
type rule struct {
	name     string
	events   []event.Type
	keywords *regexp.Regexp // nil: any
	matches  *regexp.Regexp // nil: any

	reply      *reply // nil: none
	typing     bool
	status     *event.Status // nil: left as it is
	markAsRead bool
	limits     Limits
}

// meets reports whether the rule answers a message that came with an event of
// the type.
func (r *rule) meets(t event.Type, content string) bool {
	return slices.Contains(r.events, t) &&
		(r.keywords == nil || r.keywords.MatchString(content)) &&
		(r.matches == nil || r.matches.MatchString(content))
}

// keywords is an expression for any of the words, whole and in any case. The
// \b of RE2 knows words of ASCII only, so the characters beside are named.
func keywords(words []string) *regexp.Regexp {
	if len(words) == 0 {
		return nil
	}
	alternatives := make([]string, len(words))
	for i, w := range words {
		parts := strings.Fields(w)
		for j := range parts {
			parts[j] = regexp.QuoteMeta(parts[j])
		}
		alternatives[i] = strings.Join(parts, `\s+`)
	}
	const beside = `[^\p{L}\p{M}\p{N}_]`
	return regexp.MustCompile(`(?i)(?:^|` + beside + `)(?:` + strings.Join(alternatives, "|") + `)(?:$|` + beside + `)`)
}
