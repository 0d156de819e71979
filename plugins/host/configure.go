package host

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

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
	// Message is what is wrong.
	Message string
}

func (r *Refusal) Error() string {
	if r.Reason != "" {
		return fmt.Sprintf("plugin %s: %s", r.Plugin, r.Reason)
	}
	list := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		list[i] = strings.TrimPrefix(p.Path+": "+p.Message, ": ")
	}
	return fmt.Sprintf("plugin %s: its configuration is refused: %s", r.Plugin, strings.Join(list, "; "))
}

// Configure describes and configures a started plugin. What does not agree with
// the protocol or the schema is a [*Refusal]. It has no further effect: a
// plugin reaches out to nothing before it is connected.
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
	problems, err := checkSchema(manifest.GetConfigSchema(), config)
	if err != nil {
		return nil, nil, &Refusal{Plugin: spec.Name, Reason: "the schema in its manifest is unusable: " + err.Error()}
	}
	if len(problems) > 0 {
		return manifest, nil, &Refusal{Plugin: spec.Name, Problems: problems}
	}
	res, err := client.Configure(ctx, &pluginv1.ConfigureRequest{Name: spec.Name, Config: config, Accounts: spec.Accounts})
	if err != nil {
		return nil, nil, fmt.Errorf("configure plugin %s: %w", spec.Name, err)
	}
	for _, p := range res.GetProblems() {
		problems = append(problems, Problem{p.GetPath(), p.GetMessage()})
	}
	if len(problems) > 0 {
		return manifest, nil, &Refusal{Plugin: spec.Name, Problems: problems}
	}
	if reason := checkFeeds(res.GetFeeds()); reason != "" {
		return manifest, nil, &Refusal{Plugin: spec.Name, Reason: reason}
	}
	return manifest, res, nil
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// maxFeeds bounds what one plugin may ask of the server.
const maxFeeds = 256

func checkFeeds(feeds []*pluginv1.Feed) string {
	if len(feeds) == 0 || len(feeds) > maxFeeds {
		return fmt.Sprintf("it declares %d feeds; 1 to %d are allowed", len(feeds), maxFeeds)
	}
	seen := map[string]bool{}
	for _, f := range feeds {
		switch {
		case !validName.MatchString(f.GetName()):
			return fmt.Sprintf("it declares a feed %q; names are [a-z0-9-]+, up to 64 bytes", f.GetName())
		case seen[f.GetName()]:
			return fmt.Sprintf("it declares feed %q twice", f.GetName())
		}
		seen[f.GetName()] = true
	}
	return ""
}

// schemaURL is what a plugin's schema is called in errors. With a plain name it
// would be a file of the working directory.
const schemaURL = "plugin:///config.schema.json"

// checkSchema validates a configuration and returns every error with its path.
func checkSchema(schema, config []byte) ([]Problem, error) {
	if len(schema) == 0 {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // a plugin does not make the bridge read files
	if err := compiler.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return []Problem{{"", "not JSON: " + err.Error()}}, nil
	}
	err = compiled.Validate(value)
	if err == nil {
		return nil, nil
	}
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return nil, err
	}
	return flatten(invalid, nil), nil
}

var english = message.NewPrinter(language.English)

// flatten collects the leaves: those name what is wrong where.
func flatten(e *jsonschema.ValidationError, into []Problem) []Problem {
	if len(e.Causes) == 0 {
		if unknown, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
			for _, key := range unknown.Properties {
				into = append(into, Problem{pointer(append(e.InstanceLocation, key)), "unknown key " + strconv.Quote(key)})
			}
			return into
		}
		return append(into, Problem{pointer(e.InstanceLocation), explain(e.ErrorKind)})
	}
	for _, c := range e.Causes {
		into = flatten(c, into)
	}
	return into
}

// pointer writes a JSON Pointer (RFC 6901).
func pointer(tokens []string) string {
	path := ""
	for _, token := range tokens {
		path += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
	}
	return path
}

// explain says what is wrong, without the value: it may be a secret, or one in
// the wrong place.
func explain(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Pattern:
		return fmt.Sprintf("does not match pattern %q", k.Want)
	case *kind.Format:
		return "is not a valid " + k.Want
	}
	return k.LocalizedString(english)
}
