package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/switchboard-dev/switchboard"

// root is the repository, from here.
var root = filepath.Join("..", "..")

// rule says what some packages of this module may import. Packages of the
// module are named from its root; "x/..." is x and all below it, "x/*/..." is
// all below x without x, and "..." is everything. Others are named by their
// whole path.
type rule struct {
	packages, except []string
	// only are the module's own packages that may be imported, beside what is
	// below the importer itself; nil: any. Without external, nothing but the
	// standard library comes beside them.
	only     []string
	external bool
	// never are packages that may not be.
	never []string
	// modules is how many other modules may be compiled in; 0: any.
	modules int
	// tests has the rule hold for the imports of tests, reach for all that is
	// compiled in, and neither for the package's own imports.
	tests, reach bool
	because      string
	// breach is an import that the rule must find.
	breach breach
}

type breach struct{ importer, imported string }

const anything = "..."

var rules = []rule{
	{
		packages: []string{anything}, except: []string{"bridge/bus", "bridge/faults", "bridge/badplugins", "examples/..."}, never: []string{"github.com/nats-io/..."},
		because: "bridge/bus is all of NATS: no one else names a subject, but who looks at it from outside",
		breach:  breach{"bridge/outbox", "github.com/nats-io/nats.go/jetstream"},
	},
	{
		packages: []string{anything}, except: []string{"bridge", "bridge/bus", "bridge/faults", "bridge/outbox", "cmd/...", "examples/..."}, never: []string{"github.com/nats-io/..."}, tests: true,
		because: "tests use the bus; only those of what promises something on NATS look at it from outside",
		breach:  breach{"bridge/link", "github.com/nats-io/nats.go"},
	},
	{
		packages: []string{"plugins/sdk"}, reach: true, external: true, only: []string{"proto/..."},
		never:   []string{"github.com/nats-io/...", "go.opentelemetry.io/..."},
		because: "whoever imports the SDK gets all that it reaches: no NATS, no telemetry, no part of the bridge",
		breach:  breach{"plugins/sdk", "go.opentelemetry.io/otel"},
	},
	{
		packages: []string{"plugins/sdk"}, reach: true, modules: 16,
		because: "go-plugin's own modules and one for JSON Schema are enough for a plugin",
		breach:  breach{"plugins/sdk", "example.com/one/more"},
	},
	{
		packages: []string{"plugins/*/..."}, except: []string{"plugins/sdk/...", "plugins/host/..."},
		only: []string{"plugins/sdk", "proto/..."}, external: true,
		because: "a plugin of ours is made as a third party's is: of the SDK",
		breach:  breach{"plugins/slack", module + "/plugins/host"},
	},
	{
		packages: []string{"plugins/host/..."}, only: []string{"plugins/host/...", "proto/..."}, external: true,
		because: "the host knows neither NATS nor the outbox: they come in through its interfaces",
		breach:  breach{"plugins/host", module + "/bridge/bus"},
	},
	{
		packages: []string{"connectors"}, only: []string{"proto/..."}, external: true, never: []string{module + "/connectors/*/..."},
		because: "what a backend must offer does not depend on any backend",
		breach:  breach{"connectors", module + "/connectors/account"},
	},
	{
		packages: []string{"connectors/*/..."}, only: []string{"connectors", "proto/..."}, external: true,
		because: "a connector knows the contract and the events, no other connector and not the bridge",
		breach:  breach{"connectors/account", module + "/connectors/simulator"},
	},
	{
		packages: []string{"proto/event/..."}, only: []string{},
		because: "events are plain Go, for everyone to share",
		breach:  breach{"proto/event", "google.golang.org/protobuf/proto"},
	},
	{
		packages: []string{"proto/..."}, only: []string{"proto/..."}, external: true,
		because: "the protocols stand below everything",
		breach:  breach{"proto/plugin/v1", module + "/plugins/sdk"},
	},
	{
		packages: []string{"bridge/link"}, only: []string{"connectors", "proto/..."}, external: true,
		because: "the connection's state machine needs a connector and no more",
		breach:  breach{"bridge/link", module + "/bridge/bus"},
	},
	{
		packages: []string{"bridge/outbox"}, only: []string{"bridge/bus", "bridge/link", "connectors", "proto/..."}, external: true,
		because: "the outbox takes from the bus and sends over the link",
		breach:  breach{"bridge/outbox", module + "/connectors/account"},
	},
	{
		packages: []string{"bridge/reconcile"}, only: []string{"connectors", "proto/..."}, external: true,
		because: "the comparison knows neither NATS nor a backend: it is given both",
		breach:  breach{"bridge/reconcile", module + "/bridge/bus"},
	},
	{
		packages: []string{"bridge/bus"}, only: []string{"proto/..."}, external: true,
		because: "the bus carries events and actions, whoever they are from",
		breach:  breach{"bridge/bus", module + "/bridge/outbox"},
	},
	{
		packages: []string{"bridge/faults"}, only: []string{"connectors/simulator", "proto/..."}, external: true,
		because: "who measures the bridge knows a backend and NATS, and nothing of the bridge",
		breach:  breach{"bridge/faults", module + "/bridge/bus"},
	},
	{
		packages: []string{"bridge/badplugins"}, only: []string{"connectors/simulator", "plugins/sdk", "proto/..."}, external: true,
		because: "who measures the host of plugins knows a backend, NATS and plugins, and nothing of the host",
		breach:  breach{"bridge/badplugins", module + "/plugins/host"},
	},
	{
		packages: []string{"bridge/..."}, except: []string{"bridge/faults", "bridge/badplugins"}, only: []string{"bridge/...", "connectors", "proto/..."}, external: true,
		because: "which connectors and plugins there are, and what a user may write, is decided in cmd",
		breach:  breach{"bridge", module + "/config"},
	},
	{
		packages: []string{"config/..."}, only: []string{"proto/..."}, external: true,
		because: "the configuration says what a user may write, and starts nothing",
		breach:  breach{"config", module + "/bridge"},
	},
	{
		packages: []string{anything}, except: []string{"cmd/..."}, never: []string{module + "/cmd/..."},
		because: "imports point down only, and cmd is the top",
		breach:  breach{"bridge", module + "/cmd/switchboard"},
	},
	{
		packages: []string{anything}, except: []string{"cmd/..."}, never: []string{module + "/cmd/..."}, tests: true,
		because: "imports point down only, and cmd is the top",
		breach:  breach{"bridge", module + "/cmd/switchboard"},
	},
}

// listed is a package as go list tells of it.
type listed struct {
	ImportPath                               string
	Imports, TestImports, XTestImports, Deps []string
	Standard                                 bool
	Module                                   *struct{ Path string }
}

// own is the package's name from the module's root; ok tells whether it is of
// this module.
func (p *listed) own() (name string, ok bool) {
	if p.ImportPath == module {
		return ".", true
	}
	return strings.CutPrefix(p.ImportPath, module+"/")
}

func TestImports(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		about := 0
		for _, p := range packages {
			if r.isAbout(p) {
				about++
			}
		}
		if about == 0 {
			t.Errorf("rule about %v is about no package: %s", r.packages, r.because)
		}
		for _, violation := range r.check(packages) {
			t.Error(violation)
		}
	}
}

func TestEachRuleOfImportsCanFail(t *testing.T) {
	packages := list(t)
	for i, r := range rules {
		t.Run(fmt.Sprint(i, " ", r.breach.importer, " imports ", r.breach.imported), func(t *testing.T) {
			made := map[string]*listed{}
			for path, p := range packages {
				made[path] = p
			}
			// Enough modules for the rule that counts them.
			deps := []string{r.breach.imported}
			for n := range r.modules {
				deps = append(deps, fmt.Sprintf("example%d.com/module", n))
			}
			for _, path := range deps {
				if made[path] == nil {
					made[path] = &listed{ImportPath: path, Module: &struct{ Path string }{path}}
				}
			}
			importer := &listed{ImportPath: module + "/" + r.breach.importer}
			switch {
			case r.reach:
				importer.Deps = deps
			case r.tests:
				importer.XTestImports = deps
			default:
				importer.Imports = deps
			}
			made[importer.ImportPath] = importer
			found := r.check(made)
			if !slices.ContainsFunc(found, func(v string) bool {
				return strings.HasPrefix(v, r.breach.importer+" ") && strings.Contains(v, r.because) &&
					(r.modules > 0 || strings.Contains(v, r.breach.imported))
			}) {
				t.Errorf("not found; violations: %q", found)
			}
		})
	}
}

func list(t *testing.T) map[string]*listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,TestImports,XTestImports,Deps,Standard,Module", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, stderr.Bytes())
	}
	packages := map[string]*listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = &p
	}
}

func (r *rule) isAbout(p *listed) bool {
	name, ok := p.own()
	return ok && within(name, r.packages) && !within(name, r.except)
}

// check returns who breaks the rule, in order.
func (r *rule) check(packages map[string]*listed) (violations []string) {
	for _, p := range packages {
		if !r.isAbout(p) {
			continue
		}
		name, _ := p.own()
		verb, imports := "imports", p.Imports
		switch {
		case r.reach:
			verb, imports = "reaches", p.Deps
		case r.tests:
			verb, imports = "has a test that imports", slices.Concat(p.TestImports, p.XTestImports)
		}
		modules := map[string]bool{}
		for _, path := range imports {
			q := packages[path]
			if q == nil {
				q = &listed{ImportPath: path, Standard: !strings.Contains(path, ".")} // only a test imports it
			}
			if q.Module != nil && q.Module.Path != module {
				modules[q.Module.Path] = true
			}
			if r.forbids(name, q) {
				violations = append(violations, fmt.Sprintf("%s %s %s: %s", name, verb, path, r.because))
			}
		}
		if r.modules > 0 && len(modules) > r.modules {
			violations = append(violations, fmt.Sprintf("%s %s %d modules, %d are allowed: %s", name, verb, len(modules), r.modules, r.because))
		}
	}
	slices.Sort(violations)
	return violations
}

func (r *rule) forbids(importer string, p *listed) bool {
	if p.Standard {
		return false
	}
	if within(p.ImportPath, r.never) {
		return true
	}
	if r.only == nil {
		return false
	}
	own, ok := p.own()
	if !ok {
		return !r.external
	}
	return !within(own, r.only) && !within(own, []string{importer + "/..."})
}

// within reports whether the name is one of those that the patterns name.
func within(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == anything || pattern == name {
			return true
		}
		if above, ok := strings.CutSuffix(pattern, "/*/..."); ok {
			return strings.HasPrefix(name, above+"/")
		}
		top, ok := strings.CutSuffix(pattern, "/...")
		return ok && (name == top || strings.HasPrefix(name, top+"/"))
	})
}

// maxLines is how long a file may be that is written by hand.
const maxLines = 500

func TestSources(t *testing.T) {
	files := sources(t)
	if len(files) < 50 {
		t.Fatalf("only %d files: not the repository", len(files))
	}
	for _, path := range files {
		src, err := os.ReadFile(filepath.Join(root, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, violation := range checkSource(t, path, src) {
			t.Error(violation)
		}
	}
}

func TestEachRuleOfSourcesCanFail(t *testing.T) {
	long := "package p\n" + strings.Repeat("\n", maxLines)
	tests := []struct {
		name, src string
		want      string // a part of the violation; "": there is none
	}{
		{"init", "package p\nfunc init() {}", "p.go:2 has an init"},
		{"a goroutine of a package", "package p\nvar x = func() int { go f(); return 1 }()\nfunc f() {}", "p.go:2 starts a goroutine"},
		{"a goroutine deep in one", "package p\nvar x = g(func() int { func() { go f() }(); return 1 }())\nfunc f() {}\nfunc g(int) int { return 1 }", "p.go:2 starts a goroutine"},
		{"a long file", long, "p.go has 501 lines"},
		{"a method called init", "package p\ntype t int\nfunc (t) init() {}", ""},
		{"a goroutine of a function", "package p\nfunc f() { go f() }", ""},
		{"a goroutine of a function in a table", "package p\nvar x = map[string]func(){\"x\": func() { go f() }}\nfunc f() {}", ""},
		{"a file as long as is allowed", strings.TrimSuffix(long, "\n"), ""},
		{"what is generated", "// Code generated by x. DO NOT EDIT.\n" + long + "func init() {}", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := checkSource(t, "p.go", []byte(tt.src))
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("violations %q, want %q", got, tt.want)
			}
		})
	}
}

// sources are the Go files that git knows, or all there are where there is no
// repository.
func sources(t *testing.T) (paths []string) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "*.go")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	t.Log("no git repository: every file counts")
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") {
			relative, _ := filepath.Rel(root, path)
			paths = append(paths, relative)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func checkSource(t *testing.T, path string, src []byte) (violations []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if ast.IsGenerated(file) {
		return nil
	}
	if lines := bytes.Count(src, []byte("\n")); lines > maxLines {
		violations = append(violations, fmt.Sprintf("%s has %d lines, %d are allowed: a file is one part", path, lines, maxLines))
	}
	at := func(n ast.Node) string { return fmt.Sprintf("%s:%d", path, set.Position(n.Pos()).Line) }
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				violations = append(violations, at(d)+" has an init: registries are visible tables, not side effects")
			}
		case *ast.GenDecl:
			for _, g := range started(d) {
				violations = append(violations, at(g)+" starts a goroutine as its package is loaded: the caller writes go")
			}
		}
	}
	return violations
}

// started are the go statements that run when the declaration does: those in
// functions that are called where they are written.
func started(n ast.Node) (list []*ast.GoStmt) {
	called := map[*ast.FuncLit]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.FuncLit); ok {
				called[f] = true
			}
		case *ast.GoStmt:
			list = append(list, n)
		case *ast.FuncLit:
			return called[n]
		}
		return true
	})
	return list
}
