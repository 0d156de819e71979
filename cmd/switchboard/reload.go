package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/plugins/host"
)

// reload has a running bridge take up a changed configuration.
type reload struct {
	// asked gets a signal when it is wanted; nil: it never is.
	asked <-chan os.Signal
	// read reads the configuration anew.
	read func() (*config.Config, error)
}

// applyTimeout bounds the application of one configuration: the start of a
// plugin, what it is asked, and the end of the one before.
const applyTimeout = 2 * time.Minute

// run reloads each time it is asked to, until ctx ends. running is the
// configuration that the bridge was started with.
func (r reload) run(ctx context.Context, running *config.Config, h *host.Host, kept store, log *slog.Logger) error {
	for {
		select {
		case <-r.asked:
			r.once(ctx, running, h, kept, log)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r reload) once(ctx context.Context, running *config.Config, h *host.Host, kept store, log *slog.Logger) {
	fresh, err := r.read()
	if err != nil {
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			log.Error("reload: the configuration is refused whole, and the old one goes on", "error", problem)
		}
		return
	}
	specs, err := specs(fresh, names(fresh.Plugins))
	if err != nil {
		log.Error("reload: the configuration is refused whole, and the old one goes on", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	kept.limit(specs)
	done, err := h.Apply(ctx, specs)
	if err != nil {
		log.Error("reload: not finished", "error", err)
	}
	for _, name := range names(done.Failed) {
		log.Error("reload: the plugin's new section is not in force", "plugin", name, "error", done.Failed[name])
	}
	changed := slices.DeleteFunc(done.Changed, func(name string) bool { return done.Failed[name] != nil })
	log.Info("configuration reloaded", "plugins_added", done.Added, "plugins_changed", changed, "plugins_removed", done.Removed)
	if keys := needRestart(running, fresh); len(keys) > 0 {
		log.Warn("reload: these changes are not applied before the bridge is restarted", "keys", keys)
	}
}

// needRestart are the keys outside of plugins that differ, each as far down as
// an account's name.
func needRestart(running, fresh *config.Config) (keys []string) {
	old, now := reflect.ValueOf(*running), reflect.ValueOf(*fresh)
	for i := range old.NumField() {
		f := old.Type().Field(i)
		key := f.Tag.Get("koanf")
		if key == "" || key == "plugins" || reflect.DeepEqual(old.Field(i).Interface(), now.Field(i).Interface()) {
			continue
		}
		if f.Type.Kind() != reflect.Map {
			keys = append(keys, key)
			continue
		}
		for _, name := range mapKeys(old.Field(i), now.Field(i)) {
			a, b := old.Field(i).MapIndex(name), now.Field(i).MapIndex(name)
			if !a.IsValid() || !b.IsValid() || !reflect.DeepEqual(a.Interface(), b.Interface()) {
				keys = append(keys, key+"."+name.String())
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// mapKeys are the keys of two maps, which are texts, each once.
func mapKeys(a, b reflect.Value) []reflect.Value {
	list := a.MapKeys()
	for _, key := range b.MapKeys() {
		if !a.MapIndex(key).IsValid() {
			list = append(list, key)
		}
	}
	return list
}
