package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// configureTimeout bounds Describe and Configure, each.
const configureTimeout = 10 * time.Second

// Refusal says why a plugin is not run: starting it again cannot help.
type Refusal struct {
	Plugin string
	// Problems are what is wrong with its configuration; empty when it is the
	// plugin itself that is at fault.
	Problems []Problem
	// Reason is what is wrong with the plugin.
	Reason string
}

// Problem is one error in a plugin's configuration.
type Problem struct {
	// Path is a JSON Pointer into the configuration; empty: the whole.
	Path string
	// Message is what is wrong and how to mend it, without the value.
	Message string
	// Known are the keys that the place has, where it is an unknown key that is
	// wrong; for telling which of them was meant.
	Known []string
}

// Keys are the keys and indices that lead to the place.
func (p Problem) Keys() []string { return tokens(p.Path) }

func (p Problem) String() string {
	text := strings.TrimPrefix(p.Path+": "+p.Message, ": ")
	if len(p.Known) > 0 {
		text += " (known are " + strings.Join(p.Known, ", ") + ")"
	}
	return text
}

func (r *Refusal) Error() string {
	if r.Reason != "" {
		return fmt.Sprintf("plugin %s: %s", r.Plugin, r.Reason)
	}
	list := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		list[i] = p.String()
	}
	return fmt.Sprintf("plugin %s: its configuration is refused: %s", r.Plugin, strings.Join(list, "; "))
}

// Configure describes and configures a started plugin. What does not agree with
// the protocol or the schema is a [*Refusal], which has everything at once: what
// the schema says, and what the plugin says of the parts that the schema
// accepts. It has no further effect: a plugin reaches out to nothing before it
// is connected.
func Configure(ctx context.Context, client pluginv1.PluginClient, spec Spec) (*pluginv1.Manifest, *pluginv1.ConfigureResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*configureTimeout)
	defer cancel()
	manifest, err := client.Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return nil, nil, fmt.Errorf("describe plugin %s: %w", spec.Name, err)
	}
	config := spec.Config
	if len(config) == 0 {
		config = []byte("{}")
	}
	schema, err := compile(manifest.GetConfigSchema())
	if err != nil {
		return nil, nil, &Refusal{Plugin: spec.Name, Reason: "the schema in its manifest is unusable: " + err.Error()}
	}
	problems, left, err := schema.check(config)
	if err != nil {
		return nil, nil, &Refusal{Plugin: spec.Name, Reason: "the schema in its manifest is unusable: " + err.Error()}
	}
	if len(problems) > 0 {
		return manifest, nil, &Refusal{Plugin: spec.Name, Problems: append(problems, ask(ctx, client, spec, left)...)}
	}
	res, err := client.Configure(ctx, &pluginv1.ConfigureRequest{Name: spec.Name, Config: config, Accounts: spec.Accounts})
	if err != nil {
		return nil, nil, fmt.Errorf("configure plugin %s: %w", spec.Name, err)
	}
	for _, p := range res.GetProblems() {
		problems = append(problems, Problem{Path: p.GetPath(), Message: p.GetMessage()})
	}
	if len(problems) > 0 {
		return manifest, nil, &Refusal{Plugin: spec.Name, Problems: problems}
	}
	if problems, reason := checkFeeds(res.GetFeeds()); len(problems) > 0 || reason != "" {
		return manifest, nil, &Refusal{Plugin: spec.Name, Problems: problems, Reason: reason}
	}
	return manifest, res, nil
}

// check validates a configuration. It returns every violation, and what is left
// without the parts that have one; nil: nothing.
func (s *schema) check(config []byte) ([]Problem, *cut, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return []Problem{{Message: "not JSON: " + err.Error()}}, nil, nil
	}
	refused, err := s.violations(value)
	if err != nil {
		return nil, nil, err
	}
	var problems []Problem
	for _, e := range refused {
		problems = append(problems, s.describe(e)...)
	}
	left, ok := s.cutOut(value, refused)
	if !ok {
		return problems, nil, nil
	}
	return problems, left, nil
}

// ask asks the plugin what else is wrong in what its schema accepts. That it
// does not answer is no news: it is refused already.
func ask(ctx context.Context, client pluginv1.PluginClient, spec Spec, left *cut) []Problem {
	if left == nil {
		return nil
	}
	config, err := json.Marshal(left.rest())
	if err != nil {
		return nil
	}
	res, err := client.Configure(ctx, &pluginv1.ConfigureRequest{Name: spec.Name, Config: config, Accounts: spec.Accounts})
	if err != nil {
		return nil
	}
	var problems []Problem
	add := func(path, message string) {
		at := pointer(left.original(tokens(path)))
		if !left.touches(at) {
			problems = append(problems, Problem{Path: at, Message: message})
		}
	}
	for _, p := range res.GetProblems() {
		add(p.GetPath(), p.GetMessage())
	}
	if len(res.GetFeeds()) > 0 {
		wrong, _ := checkFeeds(res.GetFeeds())
		for _, p := range wrong {
			add(p.Path, p.Message)
		}
	}
	return problems
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
