package repotest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Layer is what the code of one package, tests apart, may import outside the
// standard library.
type Layer struct {
	// Dir is the package, or with a trailing /... a tree of packages.
	Dir string
	// Ours are the packages of this module, by directory, in the same form.
	Ours []string
	// Theirs are the import paths from other modules, in the same form.
	Theirs []string
	// Why says what the row protects.
	Why string
}

// Layers complains about every import that no layer allows, and about every
// package that has no layer.
func Layers(t *Tree, layers []Layer) []string {
	var bad []string
	for _, f := range t.Files {
		if f.IsTest() {
			continue
		}
		i := slices.IndexFunc(layers, func(l Layer) bool { return matches(l.Dir, f.Dir()) })
		if i < 0 {
			bad = append(bad, f.Path+": the package has no layer yet: give it one, with a reason")
			continue
		}
		for n, imp := range f.Imports() {
			if !layers[i].allows(imp) {
				bad = append(bad, t.at(f.AST.Imports[n].Pos(), "must not import %s: %s", imp, layers[i].Why))
			}
		}
	}
	return bad
}

func (l Layer) allows(imp string) bool {
	if IsStandard(imp) {
		return true
	}
	allowed := l.Theirs
	if dir, ours := ourDir(imp); ours {
		imp, allowed = dir, l.Ours
	}
	return slices.ContainsFunc(allowed, func(p string) bool { return matches(p, imp) })
}

// Confined says that an import path belongs in a few packages only, in tests
// as well as in programs.
type Confined struct {
	// Import is the path, or with a trailing /... a tree of paths.
	Import string
	// To are the directories that may import it, in the same form.
	To []string
	// InTests: every test may import it as well.
	InTests bool
	// Why is the reason.
	Why string
}

// Confine complains about every import that strays.
func Confine(t *Tree, rules []Confined) []string {
	var bad []string
	for _, f := range t.Files {
		for n, imp := range f.Imports() {
			for _, r := range rules {
				if !matches(r.Import, imp) || r.InTests && f.IsTest() ||
					slices.ContainsFunc(r.To, func(p string) bool { return matches(p, f.Dir()) }) {
					continue
				}
				bad = append(bad, t.at(f.AST.Imports[n].Pos(), "must not import %s: %s", imp, r.Why))
			}
		}
	}
	return bad
}

// Graph maps the path of a package to the paths it imports, for all packages
// that programs of this module can link.
type Graph map[string][]string

// Forbidden says that one package must never link another, however many
// packages lie between.
type Forbidden struct {
	// From is the directory of a package, or with a trailing /... of a tree.
	From string
	// To is an import path in the same form.
	To string
	// Why is the reason.
	Why string
}

// Reach complains about every forbidden package that is linked, and shows how.
func Reach(g Graph, rules []Forbidden) []string {
	var bad []string
	for _, from := range slices.Sorted(maps.Keys(g)) {
		dir, ours := ourDir(from)
		if !ours {
			continue
		}
		for _, r := range rules {
			if !matches(r.From, dir) {
				continue
			}
			if chain := g.chain(from, r.To); chain != nil {
				bad = append(bad, fmt.Sprintf("%s must not link %s: %s\n\t%s", dir, r.To, r.Why, strings.Join(chain, "\n\t-> ")))
			}
		}
	}
	return bad
}

// chain returns a shortest path from a package to one that matches.
func (g Graph) chain(from, pattern string) []string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && matches(pattern, at) {
			var chain []string
			for ; at != ""; at = cameFrom[at] {
				chain = append([]string{at}, chain...)
			}
			return chain
		}
		for _, next := range g[at] {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// IsStandard reports whether an import path is of the standard library, whose
// first element never has a dot.
func IsStandard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// ourDir returns the directory of a package of this repository.
func ourDir(imp string) (dir string, ours bool) {
	if imp == ModulePath {
		return ".", true
	}
	dir, ours = strings.CutPrefix(imp, ModulePath+"/")
	return path.Clean(dir), ours
}

// matches reports whether name is pattern or, where that ends in /..., lies
// at or below it. The pattern "..." matches everything.
func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == base || strings.HasPrefix(name, base+"/")
	}
	return name == pattern
}
