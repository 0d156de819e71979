package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"A": "a", "EMPTY": "", "_x1": "x", "NESTED": "${A}"}[name]
	return value, ok
}

func TestExpand(t *testing.T) {
	tests := []struct {
		name, text, want string
		brought          []string
		err              string
	}{
		{name: "leaves plain text", text: "plain", want: "plain"},
		{name: "puts a variable in", text: "<${A}>", want: "<a>", brought: []string{"a"}},
		{name: "puts several in", text: "${A}${_x1}${A}", want: "axa", brought: []string{"a", "x", "a"}},
		{name: "puts an empty variable in", text: "<${EMPTY}>", want: "<>", brought: []string{""}},
		{name: "takes the default of an unset variable", text: "${B:-b c}", want: "b c", brought: []string{"b c"}},
		{name: "takes the default of an empty variable", text: "${EMPTY:-b}", want: "b", brought: []string{"b"}},
		{name: "takes an empty default", text: "${B:-}", want: "", brought: []string{""}},
		{name: "prefers the variable to the default", text: "${A:-b}", want: "a", brought: []string{"a"}},
		{name: "does not expand what was brought in", text: "${NESTED}", want: "${A}", brought: []string{"${A}"}},
		{name: "takes the escape for a literal", text: "$${A}", want: "${A}"},
		{name: "takes the escape after a dollar", text: "$$${A}", want: "$${A}"},
		{name: "leaves any other dollar", text: "$5 $A $$ $(x) ${{.x}} ${1} ${} ${A ${A:b} $", want: "$5 $A $$ $(x) ${{.x}} ${1} ${} ${A ${A:b} $"},
		{name: "refuses an unset variable", text: "x${B}", err: "${B} is not set: set the variable B, or write ${B:-default}"},
		{name: "refuses a reference in a default", text: "${B:-${A}}", err: "the default of ${B:-…} holds another ${: a default is plain text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, brought, err := expand(tt.text, lookup)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("the error is %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want || !reflect.DeepEqual(brought, tt.brought) {
				t.Errorf("%q is %q with %q, %v; want %q with %q", tt.text, got, brought, err, tt.want, tt.brought)
			}
		})
	}
}

func TestEvaluateFile(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": "x\n\n", "dos": "x\r\n", "literal": "${A}", "big": strings.Repeat("x", maxSecretFile+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := newEnvironment([]string{"DIR=" + dir, "REF=file:" + dir + "/plain"})
	for text, want := range map[string]string{
		"file:plain":           "x\n",
		"file:dos":             "x",
		"file:literal":         "${A}",
		"file:${DIR}/dos":      "x",
		"see file:plain":       "see file:plain",
		"${REF}":               "file:" + dir + "/plain",
		"file:${NOPE:-}plain":  "x\n",
		"file:" + dir + "/dos": "x",
	} {
		if got, _, err := evaluate(text, dir, env); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"file:big":     "file:big cannot be read: it has more than 1MiB: ",
		"file:none":    "file:none cannot be read: no such file or directory: ",
		"file:":        "file: cannot be read: is a directory: ",
		"file:${NOPE}": "${NOPE} is not set: ",
	} {
		if _, _, err := evaluate(text, dir, env); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s fails with %v, want %s…", text, err, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"", "plain", "${A}", "${B:-b}", "$${A}", "$$${A}", "$5 ${{.x}}", "${A:-${A}}", "${", "}${A", "file:x"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		always := func(string) (string, bool) { return value, true }
		got, brought, err := expand(text, always)
		if !strings.Contains(text, "${") && (err != nil || got != text || len(brought) > 0) {
			t.Errorf("%q without a reference becomes %q, %v", text, got, err)
		}
		if err != nil {
			if !strings.Contains(text, ":-") {
				t.Errorf("%q fails though every variable is set: %v", text, err)
			}
			return
		}
		if len(brought) == 0 && got != strings.ReplaceAll(text, "$${", "${") {
			t.Errorf("%q becomes %q though nothing was brought in", text, got)
		}
		escaped := strings.ReplaceAll(text, "${", "$${")
		if back, brought, err := expand(escaped, always); err != nil || back != text || len(brought) > 0 {
			t.Errorf("%q escaped is %q and comes back as %q, %v", text, escaped, back, err)
		}
	})
}
