package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"go.yaml.in/yaml/v3"
)

const (
	envPrefix = "SWITCHBOARD_"
	envLevel  = "__"
)

// notOurs are variables that begin like ours and say nothing about the
// configuration: the command line's own, and those that Kubernetes and Docker
// set for a service named switchboard.
var notOurs = regexp.MustCompile(`^SWITCHBOARD_(TOKEN|CONFIG|SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)$`)

// environment reads the SWITCHBOARD_ variables.
func (l *loader) environment(list []string) error {
	if list == nil {
		list = os.Environ()
	}
	accepted := variables{}
	provider := env.Provider(envLevel, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return slices.Sorted(slices.Values(list)) },
		TransformFunc: func(name, value string) (string, any) {
			if notOurs.MatchString(name) || !l.accept(name, accepted) {
				return "", nil
			}
			return strings.Join(envPath(name), envLevel), value
		},
	})
	nested, err := provider.Read()
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	return l.values(layer{plain: true, source: accepted.source}, nested)
}

// variables are the names of those that were accepted, by what they set.
type variables map[string]string

// source names the variable that sets the path, or a part of which it is.
func (v variables) source(path []string, _ *yaml.Node) Source {
	for i := range path {
		if name, ok := v[strings.Join(path[:len(path)-i], envLevel)]; ok {
			return Source{File: "environment " + name}
		}
	}
	return Source{File: "environment " + envName(path)}
}

// accept notes a variable, and refuses one that cannot be a key or contradicts
// another: they come sorted, so A comes before A__B.
func (l *loader) accept(name string, accepted variables) bool {
	source, path := Source{File: "environment " + name}, envPath(name)
	top := keys(reflect.TypeFor[Config]())
	if !slices.Contains(top, path[0]) || slices.Contains(path, "") {
		var known []string
		for _, leaf := range leaves(reflect.TypeFor[Config](), nil) {
			known = append(known, envName(leaf))
		}
		meant := "known ones go on with " + strings.ToUpper(strings.Join(top, ", "))
		if near := nearest(name, known); near != "" {
			meant = "did you mean " + near + "?"
		}
		l.report.add(source, nil, "unknown variable: %s (levels are set apart by two underscores, as in SWITCHBOARD_ACCOUNTS__7__TOKEN; what ${…} refers to needs another prefix)", meant)
		return false
	}
	for i := range path {
		if outer, ok := accepted[strings.Join(path[:i], envLevel)]; ok {
			l.report.add(source, path, "is a part of what %s sets: unset one of them", outer)
			return false
		}
	}
	accepted[strings.Join(path, envLevel)] = name
	return true
}

// envPath returns the path that a variable sets. The names in a plugin's env
// are variables themselves and keep their case.
func envPath(name string) []string {
	path := strings.Split(strings.TrimPrefix(name, envPrefix), envLevel)
	for i, key := range path {
		if i < 3 || path[0] != "plugins" || path[2] != "env" {
			path[i] = strings.ToLower(key)
		}
	}
	return path
}

// envName is the other way round.
func envName(path []string) string { return envPrefix + strings.ToUpper(strings.Join(path, envLevel)) }

// guess reads a text as a number, true, false or a text in quotes where it is
// one in JSON.
func guess(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	switch v := v.(type) {
	case bool, string:
		return v
	case float64:
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i
		}
		return v
	}
	return text
}
