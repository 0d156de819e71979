package config

import (
	"reflect"
	"slices"
)

// shape is what a part of the configuration looks like to who writes it. It is
// derived from the types, so that those are the only list of what is known.
type shape int

const (
	single  shape = iota // one value: text, a number, a duration, …
	list                 // of texts
	section              // of known keys
	named                // map of keys that the user chooses
	free                 // whatever the user writes
)

func shapeOf(t reflect.Type) shape {
	switch {
	case t == reflect.TypeFor[SecretRef]():
		return single
	case t.Kind() == reflect.Interface:
		return free
	case t.Kind() == reflect.Struct:
		return section
	case t.Kind() == reflect.Map:
		return named
	case t.Kind() == reflect.Slice:
		return list
	}
	return single
}

// below returns the type of what stands under a key of a section, a map or a
// list; nil when a section does not know the key.
func below(t reflect.Type, key string) reflect.Type {
	if shapeOf(t) != section {
		return t.Elem()
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("koanf") == key {
			return f.Type
		}
	}
	return nil
}

// keys lists the keys of a section.
func keys(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("koanf"); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// leaves lists the paths of all single values and lists that need no name of
// the user's.
func leaves(t reflect.Type, path []string) [][]string {
	var all [][]string
	for _, key := range keys(t) {
		field := below(t, key)
		switch shapeOf(field) {
		case section:
			all = append(all, leaves(field, child(path, key))...)
		case single, list:
			all = append(all, child(path, key))
		}
	}
	return all
}
