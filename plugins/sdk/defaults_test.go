package sdk

import (
	"reflect"
	"testing"
)

type endpoint struct {
	URL     string            `json:"url"`
	Tries   int               `json:"tries,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

func (e *endpoint) SetDefaults() { e.Tries = 3 }

type nested struct {
	Name string    `json:"name,omitempty"`
	One  endpoint  `json:"one,omitzero"`
	Far  *endpoint `json:"far,omitempty"`
}

type Embedded struct {
	Size int      `json:"size,omitempty"`
	Near endpoint `json:"near,omitzero"`
}

type defaulted struct {
	Embedded
	Greeting  string            `json:"greeting,omitempty"`
	Words     []string          `json:"words,omitempty"`
	Endpoints []endpoint        `json:"endpoints,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Inner     nested            `json:"inner,omitzero"`
	Other     *endpoint         `json:"other,omitempty"`
}

func TestWhatAnOperatorWroteIsLaidOverTheDefaults(t *testing.T) {
	start := func() defaulted {
		return defaulted{
			Greeting: "hello", Words: []string{"a", "b"}, Labels: map[string]string{"x": "1"},
			Endpoints: []endpoint{{URL: "http://default", Tries: 9, Headers: map[string]string{"h": "1"}}},
			Inner:     nested{Name: "inner", One: endpoint{URL: "http://one", Tries: 1}, Far: &endpoint{URL: "http://far", Tries: 2}},
		}
	}
	with := func(change func(*defaulted)) defaulted {
		c := start()
		c.Near.Tries = 3 // SetDefaults: Plugin.Defaults says nothing of it
		change(&c)
		return c
	}
	tests := []struct {
		name, written string
		want          defaulted
	}{
		{"nothing", ``, with(func(*defaulted) {})},
		{"a field beside them", `{"greeting":"moin"}`, with(func(c *defaulted) { c.Greeting = "moin" })},
		{"a list replaces the whole list", `{"words":["c"]}`, with(func(c *defaulted) { c.Words = []string{"c"} })},
		{"an empty list is a list", `{"words":[]}`, with(func(c *defaulted) { c.Words = []string{} })},
		{"an element of a list has its own defaults, not those of the one that stood there",
			`{"endpoints":[{"url":"http://a"},{"url":"http://b","tries":0}]}`,
			with(func(c *defaulted) { c.Endpoints = []endpoint{{URL: "http://a", Tries: 3}, {URL: "http://b"}} })},
		{"a map replaces the whole map", `{"labels":{"y":"2"}}`, with(func(c *defaulted) { c.Labels = map[string]string{"y": "2"} })},
		{"an object is laid over field by field", `{"inner":{"one":{"url":"http://new"},"far":{"tries":7}}}`, with(func(c *defaulted) {
			c.Inner.One.URL = "http://new"
			c.Inner.Far = &endpoint{URL: "http://far", Tries: 7}
		})},
		{"an object that the defaults have not", `{"other":{"url":"http://o"}}`, with(func(c *defaulted) {
			c.Other = &endpoint{URL: "http://o", Tries: 3}
		})},
		{"an embedded object", `{"size":2,"near":{"url":"http://e"}}`, with(func(c *defaulted) {
			c.Size, c.Near.URL = 2, "http://e"
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defaults := start()
			got, err := decodeConfig([]byte(tt.written), defaults)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
			if !reflect.DeepEqual(defaults, start()) {
				t.Errorf("the defaults themselves were changed: %+v", defaults)
			}
		})
	}
}
