package config

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
)

// Options say where a configuration comes from.
type Options struct {
	// Files are YAML files; later ones win. Nil: none.
	Files []string
	// Env is the environment in the form of os.Environ. Nil: the process's
	// own, and secrets read it anew each time.
	Env []string
	// Overrides are what flags say, by path with dots between its keys
	// ("nats.listen"). Values are texts, numbers, true or false, durations,
	// lists, or maps of those. Nil: none.
	Overrides map[string]any
	// Connectors and Builtins are the names that an account's connector and a
	// plugin's use may have. Nil: any.
	Connectors, Builtins []string
}

// Load reads, merges, expands and checks a configuration. What is wrong with it
// is an [*Error] that has everything at once.
func Load(o Options) (*Config, error) {
	d, err := Examine(o)
	if err != nil {
		return nil, err
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return d.Config, nil
}

// Locate finds the data directory of a configuration, for what talks to a
// running bridge: it need not have the bridge's secrets, so only what cannot be
// read at all is an error. DataDir is the one field that is set.
func Locate(o Options) (*Config, error) {
	l, err := read(o)
	if err != nil {
		return nil, err
	}
	return &Config{DataDir: l.config.DataDir, origin: &origin{}}, nil
}

// read reads, merges and expands. What is wrong with single values is in the
// report; an error is what makes a file unreadable.
func read(o Options) (*loader, error) {
	l := &loader{
		config: defaults(),
		report: &report{seen: map[string]bool{}},
		merged: koanf.New("."),
		env:    newEnvironment(o.Env),
	}
	l.config.origin = &origin{}
	readable := true
	for _, name := range o.Files {
		readable = l.file(name) && readable
	}
	if err := l.environment(o.Env); err != nil {
		return nil, err
	}
	if err := l.overrides(o.Overrides); err != nil {
		return nil, err
	}
	if !readable {
		return nil, l.report.err(o.Files)
	}
	if err := l.decode(); err != nil {
		return nil, err
	}
	l.config.complete()
	return l, nil
}

// loader is one Load under way.
type loader struct {
	config *Config
	report *report
	merged *koanf.Koanf
	env    *environment
}

// leaf is a single value as it was written, on its way into the Config.
type leaf struct {
	text string
	path []string
}

// decode turns what the layers say into the Config.
func (l *loader) decode() error {
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		TagName:     "koanf",
		ErrorUnused: true,
		DecodeHook:  l.hook,
		Result:      l.config,
	})
	if err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	if err := decoder.Decode(locate(l.merged.Raw(), reflect.TypeFor[Config](), nil)); err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	for name, p := range l.config.Plugins {
		p.secret = map[string]bool{}
		p.Config, _ = l.expandFree(p.Config, []string{"plugins", name, "config"}, p.secret).(map[string]any)
		l.config.Plugins[name] = p
	}
	return nil
}

// locate puts each single value's path beside it. What is free in form stays.
func locate(value any, t reflect.Type, path []string) any {
	if shapeOf(t) == free {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = locate(item, below(t, key), child(path, key))
		}
	case []any:
		for i, item := range v {
			v[i] = locate(item, below(t, ""), child(path, strconv.Itoa(i)))
		}
	case string:
		return leaf{v, path}
	}
	return value
}

// hook gives a new account, plugin or bot its defaults, and a leaf its value.
func (l *loader) hook(from, to reflect.Value) (any, error) {
	if v, ok := from.Interface().(leaf); ok {
		return l.value(v, to), nil
	}
	switch to.Type() {
	case reflect.TypeFor[Account]():
		to.Set(reflect.ValueOf(defaultAccount()))
	case reflect.TypeFor[Plugin]():
		to.Set(reflect.ValueOf(defaultPlugin()))
	case reflect.TypeFor[Bot]():
		to.Set(reflect.ValueOf(defaultBot()))
	}
	return from.Interface(), nil
}

// value expands a leaf and reads it as what it is decoded to. What cannot be
// read is reported, and the value stays as it was.
func (l *loader) value(v leaf, to reflect.Value) any {
	s := scope{config: l.config, report: l.report, path: v.path}
	if to.Type() == reflect.TypeFor[SecretRef]() {
		ref := newSecretRef(v.text, l.config.Position(v.path...).dir(), l.env)
		if _, err := ref.Read(); err != nil && !ref.IsZero() {
			s.problem("%v", err)
		}
		return ref
	}
	text, ok := l.expand(v.text, s)
	if !ok {
		return to.Interface()
	}
	parsed, err := parse(text, s.show(text), to.Type())
	if err != nil {
		s.problem("%v", err)
		return to.Interface()
	}
	return parsed
}

// expand returns what a text stands for, and remembers what came into it.
func (l *loader) expand(text string, s scope) (string, bool) {
	at, _ := l.config.origin.find(s.path)
	value, brought, err := evaluate(text, at.source.dir(), l.env)
	if err != nil {
		s.problem("%v", err)
		return "", false
	}
	at.expanded = len(brought) > 0
	if s.path[0] == "plugins" {
		for _, b := range brought {
			l.config.origin.hide(b)
		}
	}
	return value, true
}
