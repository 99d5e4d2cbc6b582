package repotest

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// Reveals complains about files that call Reveal and are not allowed to, and
// about allowed files that no longer do. Tests may. Allowed maps a path to
// the reason.
func Reveals(t *Tree, allowed map[string]string) []string {
	var bad []string
	calls := map[string]bool{}
	for _, f := range t.Files {
		if f.IsTest() {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			// The selector, not the call: a method value leaks as well.
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
				calls[f.Path] = true
				if allowed[f.Path] == "" {
					bad = append(bad, t.at(sel.Pos(), "takes a secret out and is not on the list of files that may"))
				}
			}
			return true
		})
	}
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if !calls[name] {
			bad = append(bad, name+": takes no secret out any more: strike it off the list")
		}
	}
	return bad
}

// Inits complains about init functions: importing a package must do nothing.
func Inits(t *Tree) []string {
	var bad []string
	for _, f := range t.Files {
		for _, decl := range f.AST.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				bad = append(bad, t.at(fn.Pos(), "has an init function: importing must do nothing"))
			}
		}
	}
	return bad
}

// Sleeps complains about time.Sleep outside a bubble of testing/synctest,
// where it costs no time. Programs wait for their context instead, and tests
// for the event. Allowed maps a path to the reason.
func Sleeps(t *Tree, allowed map[string]string) []string {
	var bad []string
	for _, f := range t.Files {
		if allowed[f.Path] != "" {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isSelector(call.Fun, "synctest", "Test") {
				return false
			}
			if sel, ok := n.(*ast.SelectorExpr); ok && isSelector(sel, "time", "Sleep") {
				bad = append(bad, t.at(sel.Pos(), "sleeps outside a synctest bubble"))
			}
			return true
		})
	}
	return bad
}

func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// Limits are lengths in lines. What is over a soft limit is worth a look,
// what is over a hard one is split.
type Limits struct {
	// SoftFile and HardFile are for files.
	SoftFile, HardFile int
	// SoftFunc and HardFunc are for functions.
	SoftFunc, HardFunc int
	// Excused maps a path to the reason why its length is no matter.
	Excused map[string]string
}

// Lengths returns what is over the hard limits and what is over the soft ones.
func Lengths(t *Tree, l Limits) (bad, notes []string) {
	judge := func(at string, n, soft, hard int) {
		if n > hard {
			bad = append(bad, at)
		} else if n > soft {
			notes = append(notes, at)
		}
	}
	for _, f := range t.Files {
		if l.Excused[f.Path] != "" {
			continue
		}
		judge(t.at(f.AST.Package, "the file has %d lines", f.Lines()), f.Lines(), l.SoftFile, l.HardFile)
		for _, decl := range f.AST.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				n := t.Fset.Position(fn.End()).Line - t.Fset.Position(fn.Pos()).Line + 1
				judge(t.at(fn.Pos(), "%s has %d lines", fn.Name.Name, n), n, l.SoftFunc, l.HardFunc)
			}
		}
	}
	return bad, notes
}

// Words complains about texts that must not occur in any file of the tree.
func Words(t *Tree, forbidden map[string]string) []string {
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(t.Texts)) {
		for _, word := range slices.Sorted(maps.Keys(forbidden)) {
			if strings.Contains(t.Texts[name], word) {
				bad = append(bad, name+": contains "+word+": "+forbidden[word])
			}
		}
	}
	return bad
}
