package repotest

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// PackageDocs complains about packages without exactly one package comment:
// two would be shown in an order that nobody chose.
func PackageDocs(t *Tree) []string {
	var bad []string
	pkgs := t.Packages()
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		var docs []*File
		code := false
		for _, f := range pkgs[dir] {
			if f.IsTest() {
				continue
			}
			code = true
			if f.AST.Doc != nil {
				docs = append(docs, f)
			}
		}
		switch {
		case code && len(docs) == 0:
			bad = append(bad, dir+": no file has a package comment")
		case len(docs) > 1:
			bad = append(bad, dir+": the package comment is in both "+docs[0].Path+" and "+docs[1].Path)
		}
	}
	return bad
}

// Examples complains about public packages without an example in an external
// test: the tests compile it, and it is the first thing a reader tries.
// Excused maps a directory to the reason why it has none.
func Examples(t *Tree, excused map[string]string) []string {
	var bad []string
	pkgs := t.Packages()
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		public, found := false, false
		for _, f := range pkgs[dir] {
			public = public || !f.IsTest() && !f.IsMain() && !isInternal(dir)
			found = found || f.IsTest() && strings.HasSuffix(f.AST.Name.Name, "_test") && hasExample(f)
		}
		if _, ok := excused[dir]; public && !found && !ok {
			bad = append(bad, dir+": no Example in an external test package")
		}
	}
	return bad
}

func hasExample(f *File) bool {
	for _, decl := range f.AST.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example") {
			return true
		}
	}
	return false
}

func isInternal(dir string) bool {
	return slices.Contains(strings.Split(dir, "/"), "internal")
}

// ExportedDocs complains about exported names without a comment: types,
// functions, methods of exported types, constants, variables, fields and
// methods of interfaces. A comment on a group covers its constants and
// variables. The fields of internal types are left alone: whoever can read
// them has the source open.
func ExportedDocs(t *Tree) []string {
	c := docChecker{tree: t}
	for _, f := range t.Files {
		if f.IsTest() || f.IsMain() {
			continue
		}
		for _, decl := range f.AST.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				c.function(d)
			case *ast.GenDecl:
				c.group(d, isInternal(f.Dir()))
			}
		}
	}
	return c.bad
}

type docChecker struct {
	tree *Tree
	bad  []string
}

func (c *docChecker) missing(pos token.Pos, what string) {
	c.bad = append(c.bad, c.tree.at(pos, "%s has no comment", what))
}

func (c *docChecker) function(d *ast.FuncDecl) {
	name := d.Name.Name
	if d.Recv != nil {
		receiver := typeName(d.Recv.List[0].Type)
		if !ast.IsExported(receiver) {
			return
		}
		name = receiver + "." + name
	}
	if d.Name.IsExported() && d.Doc == nil {
		c.missing(d.Pos(), name)
	}
}

func (c *docChecker) group(d *ast.GenDecl, internal bool) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if !s.Name.IsExported() {
				continue
			}
			// A group's comment says what the types have in common, not
			// what one is; without parentheses it is the type's own.
			if s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				c.missing(s.Pos(), s.Name.Name)
			}
			if !internal {
				c.members(s)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					c.missing(name.Pos(), name.Name)
				}
			}
		}
	}
}

func (c *docChecker) members(s *ast.TypeSpec) {
	var list *ast.FieldList
	switch typ := s.Type.(type) {
	case *ast.StructType:
		list = typ.Fields
	case *ast.InterfaceType:
		list = typ.Methods
	default:
		return
	}
	for _, field := range list.List {
		// An embedded field has no name of its own to explain.
		for _, name := range field.Names {
			if name.IsExported() && field.Doc == nil && field.Comment == nil {
				c.missing(name.Pos(), s.Name.Name+"."+name.Name)
			}
		}
	}
}

// typeName returns the name of a receiver's type: T in *T and in T[P].
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	}
	return ""
}
