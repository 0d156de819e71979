package sdk

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// Defaulter is a part of a configuration that has defaults of its own wherever
// it stands, also in a list: SetDefaults is called, on a pointer, before what
// the operator wrote is laid over it. The whole configuration has
// [Plugin.Defaults] as well.
type Defaulter interface{ SetDefaults() }

// decodeConfig lays what the operator wrote over the defaults: objects field by
// field, lists and all else as a whole.
func decodeConfig[C any](data []byte, defaults C) (C, error) {
	if len(data) == 0 {
		data = []byte("{}")
	}
	config := defaults
	prepare(reflect.ValueOf(&config).Elem(), data, true)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&config); err != nil {
		return defaults, err
	}
	return config, nil
}

// prepare makes ready what encoding/json would decode into as it finds it:
// lists and maps, which the defaults share and whose elements have defaults of
// their own. fresh says that nothing has been set here. What does not fit is
// left for the decoder to report.
func prepare(v reflect.Value, data []byte, fresh bool) {
	if d, ok := v.Addr().Interface().(Defaulter); ok && fresh {
		d.SetDefaults()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if bytes.Equal(data, []byte("null")) {
			return
		}
		to := reflect.New(v.Type().Elem())
		if unset := v.IsNil(); !unset {
			to.Elem().Set(v.Elem())
			fresh = false
		}
		v.Set(to)
		prepare(to.Elem(), data, fresh)
	case reflect.Struct:
		var fields map[string]json.RawMessage
		if json.Unmarshal(data, &fields) != nil {
			fields = nil
		}
		prepareFields(v, fields)
	case reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(data, &items) != nil || items == nil {
			return
		}
		list := reflect.MakeSlice(v.Type(), len(items), len(items))
		for i, item := range items {
			prepare(list.Index(i), item, true)
		}
		v.Set(list)
	case reflect.Map:
		v.SetZero() // as a whole, and never into that of the defaults
	}
}

func prepareFields(v reflect.Value, fields map[string]json.RawMessage) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-", !field.IsExported() && !field.Anonymous:
		case field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct:
			prepareFields(v.Field(i), fields)
		case field.IsExported():
			if name == "" {
				name = field.Name
			}
			data, given := fields[name]
			if given || isStruct(field.Type) {
				prepare(v.Field(i), data, v.Field(i).IsZero())
			}
		}
	}
}

// isStruct reports whether there may be defaults inside though nothing is
// written there.
func isStruct(t reflect.Type) bool { return t.Kind() == reflect.Struct }
