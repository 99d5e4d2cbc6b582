package repotest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// ModulePath is the path of the root module.
const ModulePath = "github.com/seed-9a12f4e2/pawl"

// Tree is the source of the repository, nested modules included.
type Tree struct {
	// Fset holds the positions of all Go files.
	Fset *token.FileSet
	// Files are the Go files, for every platform alike.
	Files []*File
	// Texts are all text files by path, Go files included.
	Texts map[string]string
	// Modules are the directories of the modules; "." is the root.
	Modules []string
}

// File is one Go file.
type File struct {
	// Path is slash-separated and relative to the root.
	Path string
	// AST is the parsed file, with comments.
	AST *ast.File
	// Text is the source.
	Text string
}

// Dir returns the directory of the file, which names its package.
func (f *File) Dir() string { return path.Dir(f.Path) }

// IsTest reports whether the go command leaves the file out of programs.
func (f *File) IsTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

// IsMain reports whether the file belongs to a program.
func (f *File) IsMain() bool { return f.AST.Name.Name == "main" }

// Lines returns how many lines the file has.
func (f *File) Lines() int { return strings.Count(f.Text, "\n") }

// Imports returns the import paths of the file.
func (f *File) Imports() []string {
	var paths []string
	for _, spec := range f.AST.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

// Load reads a tree. Build output, version control and testdata hold no
// source of ours and are skipped, except that testdata is text too.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{Fset: token.NewFileSet(), Texts: map[string]string{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		return t.add(fsys, name)
	})
	return t, err
}

func (t *Tree) add(fsys fs.FS, name string) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if !utf8.Valid(data) {
		return nil
	}
	t.Texts[name] = string(data)
	if slices.Contains(strings.Split(path.Dir(name), "/"), "testdata") {
		return nil
	}
	if path.Base(name) == "go.mod" {
		t.Modules = append(t.Modules, path.Dir(name))
	}
	if path.Ext(name) != ".go" {
		return nil
	}
	parsed, err := parser.ParseFile(t.Fset, name, data, parser.ParseComments)
	if err != nil {
		return err
	}
	t.Files = append(t.Files, &File{Path: name, AST: parsed, Text: string(data)})
	return nil
}

// Packages returns the files of each directory that holds Go files.
func (t *Tree) Packages() map[string][]*File {
	pkgs := map[string][]*File{}
	for _, f := range t.Files {
		pkgs[f.Dir()] = append(pkgs[f.Dir()], f)
	}
	return pkgs
}

// Module returns the directory of the module that dir belongs to.
func (t *Tree) Module(dir string) string {
	best := "."
	for _, m := range t.Modules {
		if (dir == m || strings.HasPrefix(dir, m+"/")) && len(m) >= len(best) {
			best = m
		}
	}
	return best
}

// at writes a complaint about a place in the tree.
func (t *Tree) at(pos token.Pos, format string, args ...any) string {
	p := t.Fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}
