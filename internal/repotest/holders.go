package repotest

import (
	"go/ast"
	"path"
	"slices"
)

// Holders returns the exported types below dirs, as "package.Type", that can
// hold a secret: those that are a seed, and those with a field, an element or
// an embedded type that can. It reads the syntax, so a type that hides one
// behind an interface is not found; seeds are given as "package.Type".
func Holders(t *Tree, dirs, seeds []string) []string {
	// mentions maps every type below dirs to the types in its definition.
	mentions := map[string][]string{}
	for _, f := range t.Files {
		below := slices.ContainsFunc(dirs, func(d string) bool { return matches(d, f.Dir()) })
		if f.IsTest() || !below {
			continue
		}
		for _, decl := range f.AST.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					pkg := path.Base(f.Dir())
					mentions[pkg+"."+s.Name.Name] = mentioned(pkg, s.Type)
				}
			}
		}
	}
	holds := map[string]bool{}
	for _, s := range seeds {
		holds[s] = true
	}
	for grown := true; grown; {
		grown = false
		for name, inner := range mentions {
			if !holds[name] && slices.ContainsFunc(inner, func(n string) bool { return holds[n] }) {
				holds[name], grown = true, true
			}
		}
	}
	var found []string
	for name := range mentions {
		if holds[name] && ast.IsExported(path.Ext(name)[1:]) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// mentioned returns the named types that values of a type can contain. What a
// function takes and what an interface promises is not contained.
func mentioned(pkg string, e ast.Expr) []string {
	var names []string
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType, *ast.InterfaceType:
			return false
		case *ast.Field:
			names = append(names, mentioned(pkg, n.Type)...)
			return false // not the names of fields
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok {
				names = append(names, id.Name+"."+n.Sel.Name)
			}
			return false
		case *ast.Ident:
			names = append(names, pkg+"."+n.Name)
		}
		return true
	})
	return names
}
