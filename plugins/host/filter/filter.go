package filter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Filter is a compiled expression. One goroutine uses it.
type Filter struct {
	program *vm.Program
	machine vm.VM
	uses    uses
}

// uses says which of an event's data an expression looks at.
type uses struct{ values, raw bool }

// The bounds of an expression.
const (
	maxSource = 4096
	maxNodes  = 1000
)

// Compile reads an expression. Its error is one line, with the place in the
// expression and without what the expression is.
func Compile(source string) (*Filter, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("it has %d bytes; up to %d are allowed", len(source), maxSource)
	}
	tree, err := parser.Parse(source)
	if err != nil {
		return nil, oneLine(err)
	}
	b := &bounds{}
	ast.Walk(&tree.Node, b)
	if b.err != nil {
		return nil, oneLine(b.err.Bind(tree.Source))
	}
	program, err := expr.Compile(source, expr.Env(environment{}), expr.AsBool(), expr.WarnOnAny(), expr.MaxNodes(maxNodes))
	if err != nil {
		return nil, oneLine(err)
	}
	return &Filter{program: program, uses: b.uses}, nil
}

// Match reports whether the feed wants the event. An error is of this event
// alone: the expression asked for what the event does not have.
func (f *Filter) Match(e event.Event, c *Cache) (bool, error) {
	env := environment{
		Type: string(e.Type), Account: e.Account, Conversation: e.Conversation,
		Replayed: e.Replayed, By: e.By, Time: e.Time,
	}
	if f.uses.values || f.uses.raw {
		if err := c.fill(&env, e, f.uses); err != nil {
			return false, fmt.Errorf("filter: %w", err)
		}
	}
	v, err := f.machine.Run(f.program, &env)
	if err != nil {
		return false, fmt.Errorf("filter: %w", oneLine(err))
	}
	return v.(bool), nil // the compiler saw to it
}

// oneLine is expr's error without the picture of the expression, which may
// have a secret in it.
func oneLine(err error) error {
	if at, ok := errors.AsType[*file.Error](err); ok && at.Snippet != "" {
		return fmt.Errorf("%s (%d:%d)", flat(at.Message), at.Line, at.Column+1)
	}
	return errors.New(flat(err.Error()))
}

func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// bounds finds what an expression uses, and what it must not.
type bounds struct {
	uses uses
	err  *file.Error // the first
}

// Visit is [ast.Visitor]. Nodes come after those below them.
func (b *bounds) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		switch n.Value {
		case "message", "contact", "data":
			b.uses.values = true
		case "raw":
			b.uses.raw = true
		case "$env":
			b.uses = uses{true, true}
		}
	case *ast.BinaryNode:
		if n.Operator == ".." {
			b.refuse(n, "a range (..) is not allowed: compare with its ends")
		}
	case *ast.PredicateNode:
		below := &inside{}
		ast.Walk(&n.Node, below)
		if below.predicate != nil {
			b.refuse(below.predicate, "looking through a list inside another is not allowed: it could take for ever")
		}
	}
}

func (b *bounds) refuse(n ast.Node, why string) {
	if b.err == nil {
		b.err = &file.Error{Location: n.Location(), Message: why}
	}
}

// inside finds a predicate.
type inside struct{ predicate ast.Node }

// Visit is [ast.Visitor].
func (i *inside) Visit(node *ast.Node) {
	if p, ok := (*node).(*ast.PredicateNode); ok {
		i.predicate = p
	}
}
