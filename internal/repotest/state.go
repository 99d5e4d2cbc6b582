package repotest

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// GlobalState complains about package-level variables that can change: two
// sessions in one program must not share anything that was not handed to
// both. It judges by the syntax. A variable can change when code of the
// package assigns to it, when its type is from sync, or when anyone can
// assign to it because it is exported; an exported Err... is the exception
// that the standard library made a custom. Allowed maps "directory.name" to
// the reason.
func GlobalState(t *Tree, allowed map[string]string) []string {
	var bad []string
	pkgs := t.Packages()
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		files := slices.DeleteFunc(slices.Clone(pkgs[dir]), (*File).IsTest)
		globals := packageVars(files)
		written := writtenVars(files, globals)
		for _, name := range slices.Sorted(maps.Keys(globals)) {
			g := globals[name]
			why := ""
			switch {
			case written[name]:
				why = "is assigned to"
			case mentionsSync(g.spec):
				why = "holds a lock or an atomic, so something changes"
			case ast.IsExported(name) && !strings.HasPrefix(name, "Err"):
				why = "is exported, so anyone can assign to it"
			}
			if why != "" && allowed[dir+"."+name] == "" {
				bad = append(bad, t.at(g.ident.Pos(), "the package-level variable %s %s", name, why))
			}
		}
	}
	return bad
}

type global struct {
	ident *ast.Ident
	spec  *ast.ValueSpec
}

func packageVars(files []*File) map[string]global {
	vars := map[string]global{}
	for _, f := range files {
		for _, decl := range f.AST.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				s := spec.(*ast.ValueSpec)
				for _, name := range s.Names {
					if name.Name != "_" {
						vars[name.Name] = global{name, s}
					}
				}
			}
		}
	}
	return vars
}

// writtenVars returns the globals that appear on the left of an assignment,
// themselves or through a field, an element or a pointer.
func writtenVars(files []*File, globals map[string]global) map[string]bool {
	written := map[string]bool{}
	for _, f := range files {
		write := func(e ast.Expr) {
			id := root(e)
			if id == nil {
				return
			}
			// The parser resolves names within a file: a local variable has
			// an object of its own, a global of another file has none.
			g, ok := globals[id.Name]
			if ok && (id.Obj == nil || id.Obj.Decl == g.spec) {
				written[id.Name] = true
			}
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						write(e)
					}
				}
			case *ast.IncDecStmt:
				write(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					write(n.X)
				}
			}
			return true
		})
	}
	return written
}

// root returns the variable that x, x.f, x[i] and *x start with.
func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return nil
}

func mentionsSync(s *ast.ValueSpec) bool {
	found := false
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // what a function does inside is its own matter
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && (id.Name == "sync" || id.Name == "atomic") {
				found = true
			}
		}
		return true
	}
	if s.Type != nil {
		ast.Inspect(s.Type, look)
	}
	for _, v := range s.Values {
		ast.Inspect(v, look)
	}
	return found
}
