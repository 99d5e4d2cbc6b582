package repotest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/repotest"
)

// source is a tree by path.
type source map[string]string

// broken lists trees that break one rule each, and what the rule must say.
// An empty want is a tree next to it that the rule must accept.
var broken = []struct {
	name string
	rule func(*repotest.Tree) []string
	tree source
	want string
}{
	{"an import across layers", layersRule,
		source{"transport/a.go": "package transport\nimport _ \"github.com/seed-9a12f4e2/pawl/client\""}, "must not import"},
	{"an import of a stranger", layersRule,
		source{"tokensource/a.go": "package tokensource\nimport _ \"example.com/log\""}, "must not import example.com/log"},
	{"an import down the layers", layersRule,
		source{"transport/a.go": "package transport\nimport _ \"github.com/seed-9a12f4e2/pawl/tokensource\""}, ""},
	{"a package without a layer", layersRule, source{"helpers/a.go": "package helpers"}, "has no layer"},
	{"a test may import more", layersRule,
		source{"tokensource/a_test.go": "package tokensource_test\nimport _ \"example.com/assert\""}, ""},

	{"go-keyring in a test elsewhere", confineRule,
		source{"client/a_test.go": "package client_test\nimport _ \"github.com/zalando/go-keyring\""}, "must not import"},
	{"go-keyring at home", confineRule,
		source{"tokensource/keyringstore/a.go": "package keyringstore\nimport _ \"github.com/zalando/go-keyring\""}, ""},
	{"testify in a program", confineRule,
		source{"client/a.go": "package client\nimport _ \"github.com/stretchr/testify/assert\""}, "must not import"},
	{"testify in a test", confineRule,
		source{"client/a_test.go": "package client\nimport _ \"github.com/stretchr/testify/assert\""}, ""},
	{"oauth2 in the core", confineRule,
		source{"tokensource/a_test.go": "package tokensource_test\nimport _ \"golang.org/x/oauth2\""}, "must not import"},

	{"no package comment", repotest.PackageDocs, source{"a/a.go": "package a"}, "no file has a package comment"},
	{"two package comments", repotest.PackageDocs,
		source{"a/a.go": "// Package a.\npackage a", "a/b.go": "// Package a.\npackage a"}, "is in both"},
	{"one package comment", repotest.PackageDocs,
		source{"a/a.go": "// Package a.\npackage a", "a/b.go": "// Not one.\n\npackage a"}, ""},

	{"no example", examplesRule, source{"a/a.go": "package a", "a/a_test.go": "package a\nfunc Example() {}"}, "no Example"},
	{"an example", examplesRule, source{"a/a.go": "package a", "a/a_test.go": "package a_test\nfunc Example() {}"}, ""},
	{"an internal package needs none", examplesRule, source{"internal/a/a.go": "package a"}, ""},

	{"a silent function", repotest.ExportedDocs, source{"a.go": "package a\nfunc F() {}"}, "F has no comment"},
	{"a silent method", repotest.ExportedDocs, source{"a.go": "package a\nfunc (*T[P]) M() {}"}, "T.M has no comment"},
	{"a method nobody can call", repotest.ExportedDocs, source{"a.go": "package a\nfunc (t) M() {}"}, ""},
	{"a silent type in a group", repotest.ExportedDocs, source{"a.go": "package a\n// Types.\ntype (\nT int\n)"}, "T has no comment"},
	{"a silent field", repotest.ExportedDocs, source{"a.go": "package a\n// T is.\ntype T struct{ F int }"}, "T.F has no comment"},
	{"a silent interface method", repotest.ExportedDocs, source{"a.go": "package a\n// T is.\ntype T interface{ M() }"}, "T.M has no comment"},
	{"a silent constant", repotest.ExportedDocs, source{"a.go": "package a\nconst C = 1"}, "C has no comment"},
	{"a group of constants", repotest.ExportedDocs, source{"a.go": "package a\n// Some.\nconst (\nC = 1\nD = 2\n)"}, ""},

	{"a secret taken out", revealsRule, source{"a.go": "package a\nvar f = s.Reveal"}, "takes a secret out"},
	{"a stale line of the list", revealsRule, source{"a.go": "package a"}, "strike it off"},
	{"an allowed file", revealsRule, source{"allowed.go": "package a\nvar f = s.Reveal()"}, ""},

	{"an init", repotest.Inits, source{"a.go": "package a\nfunc init() {}"}, "init"},
	{"a method called init", repotest.Inits, source{"a.go": "package a\nfunc (t) init() {}"}, ""},

	{"a variable assigned to", stateRule, source{"a.go": "package a\nvar v int", "b.go": "package a\nfunc f() { v++ }"}, "v is assigned to"},
	{"a map written to", stateRule, source{"a.go": "package a\nvar v = map[int]int{}\nfunc f() { v[1] = 2 }"}, "v is assigned to"},
	{"a pointer taken", stateRule, source{"a.go": "package a\nvar v int\nfunc f() *int { return &v }"}, "v is assigned to"},
	{"a lock", stateRule, source{"a.go": "package a\nvar v struct{ mu sync.Mutex }"}, "holds a lock"},
	{"an exported variable", stateRule, source{"a.go": "package a\nvar V = 1"}, "V is exported"},
	{"a local of the same name", stateRule, source{"a.go": "package a\nvar v, ErrX = 1, 2\nfunc f() { v := 1; v = 2; _ = v }"}, ""},

	{"a sleep", sleepsRule, source{"a_test.go": "package a\nfunc f() { time.Sleep(1) }"}, "sleeps"},
	{"a sleep in a bubble", sleepsRule,
		source{"a_test.go": "package a\nfunc f(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }"}, ""},

	{"a long file", lengthsRule, source{"a.go": "package a\n" + strings.Repeat("//\n", 10)}, "the file has 11 lines"},
	{"a long function", lengthsRule, source{"a.go": "package a\nfunc f() {\n\n\n\n\n\n}\n"}, "f has 7 lines"},
	{"short ones", lengthsRule, source{"a.go": "package a\nfunc f() {\n}\n"}, ""},

	{"a forbidden word", wordsRule, source{"docs/testdata/a.txt": "see machine/path"}, "contains machine/path"},
	{"a harmless word", wordsRule, source{"docs/a.txt": "see path"}, ""},
}

func layersRule(t *repotest.Tree) []string   { return repotest.Layers(t, layers) }
func confineRule(t *repotest.Tree) []string  { return repotest.Confine(t, confined) }
func examplesRule(t *repotest.Tree) []string { return repotest.Examples(t, nil) }
func stateRule(t *repotest.Tree) []string    { return repotest.GlobalState(t, nil) }
func sleepsRule(t *repotest.Tree) []string   { return repotest.Sleeps(t, nil) }
func wordsRule(t *repotest.Tree) []string {
	return repotest.Words(t, map[string]string{"machine/path": "reason"})
}
func revealsRule(t *repotest.Tree) []string {
	return repotest.Reveals(t, map[string]string{"allowed.go": "reason"})
}
func lengthsRule(t *repotest.Tree) []string {
	bad, _ := repotest.Lengths(t, repotest.Limits{HardFile: 8, HardFunc: 5})
	return bad
}

func TestEachRuleComplainsAboutATreeThatBreaksIt(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, text := range tt.tree {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			tree, err := repotest.Load(fsys)
			require.NoError(t, err)
			bad := tt.rule(tree)
			if tt.want == "" {
				assert.Empty(t, bad)
				return
			}
			assert.Contains(t, strings.Join(bad, "\n"), tt.want)
		})
	}
}

func TestReachComplainsAboutAPackageLinkedIndirectly(t *testing.T) {
	const client = repotest.ModulePath + "/client"
	rules := []repotest.Forbidden{{From: "client/...", To: "github.com/godbus/...", Why: "reason"}}
	linked := repotest.Graph{client: {"fmt", "example.com/a"}, "example.com/a": {"github.com/godbus/dbus/v5"}}
	bad := repotest.Reach(linked, rules)
	require.Len(t, bad, 1)
	assert.Contains(t, bad[0], "-> example.com/a\n\t-> github.com/godbus/dbus/v5", "the complaint shows the way")

	assert.Empty(t, repotest.Reach(repotest.Graph{client: {"fmt"}, "example.com/a": {"github.com/godbus/dbus/v5"}}, rules))
}

func TestHoldersFollowsFieldsButNotWhatIsOnlyTakenOrReturned(t *testing.T) {
	fsys := fstest.MapFS{"a/a.go": {Data: []byte(`package a
type Direct struct{ s b.Secret }
type inner struct{ list []*Direct }
type Outer struct{ m map[string]inner }
type Taker func(b.Secret)
type Maker interface{ Make() b.Secret }
type Innocent struct{ Secret string }
`)}}
	tree, err := repotest.Load(fsys)
	require.NoError(t, err)
	assert.Equal(t, []string{"a.Direct", "a.Outer"}, repotest.Holders(tree, []string{"a/..."}, []string{"b.Secret"}))
}
