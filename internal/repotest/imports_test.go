package repotest_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/repotest"
)

var everything = []string{"..."}

// layers is the house: who may import what. The first row that matches a
// package counts.
var layers = []repotest.Layer{
	{Dir: ".", Why: "the root package is documentation"},

	{Dir: "tokensource", Theirs: []string{"golang.org/x/sync/singleflight"},
		Why: "the session stands below everything else: imports run login -> client -> transport -> tokensource"},
	{Dir: "tokensource/internal/sealedfile", Ours: []string{"tokensource", "internal/filelock"}, Theirs: []string{"golang.org/x/sys/..."},
		Why: "a file sealed under a key, for stores; where the key comes from is their business"},
	{Dir: "tokensource/keyringstore", Ours: []string{"tokensource", "tokensource/internal/sealedfile", "internal/filelock"},
		Theirs: []string{"github.com/zalando/go-keyring/...", "github.com/godbus/dbus/v5", "golang.org/x/sys/..."},
		Why:    "a store knows the session's words and its own medium"},
	{Dir: "tokensource/internal/fakesecrets", Theirs: []string{"github.com/godbus/dbus/v5"},
		Why: "a scripted Secret Service for tests, which shares no code with what it stands in front of"},
	{Dir: "tokensource/filestore", Ours: []string{"tokensource", "tokensource/internal/sealedfile", "internal/filelock"}, Theirs: []string{"golang.org/x/sys/..."},
		Why: "a store knows the session's words and its own medium"},
	{Dir: "tokensource/localstore", Ours: []string{"tokensource", "tokensource/keyringstore", "tokensource/filestore", "tokensource/internal/sealedfile", "internal/filelock"},
		Why: "it chooses between the two local stores, records that beside them, and does nothing else"},
	{Dir: "tokensource/storetest", Ours: []string{"tokensource"},
		Why: "a store of someone else is tested with it, so it knows no store of ours"},
	{Dir: "tokensource/oauth2adapt", Ours: []string{"tokensource"}, Theirs: []string{"golang.org/x/oauth2"},
		Why: "it translates between two packages and knows nothing else"},
	{Dir: "tokensource/sqlstore/...", Ours: []string{"tokensource"},
		Why: "drivers are the choice of the program, through database/sql"},
	{Dir: "tokensource/redisstore/...", Ours: []string{"tokensource"}, Theirs: []string{"github.com/redis/go-redis/..."},
		Why: "a store knows the session's words and its own medium"},

	{Dir: "transport/dpop", Theirs: []string{"github.com/golang-jwt/jwt/v5"},
		Why: "a leaf: proofs and keys, no session"},
	{Dir: "transport", Ours: []string{"tokensource", "transport/dpop"}, Theirs: []string{"golang.org/x/net/idna"},
		Why: "it works with any Source, so it knows no client and no store"},

	{Dir: "client", Ours: []string{"tokensource", "transport", "transport/dpop"}, Theirs: []string{"github.com/golang-jwt/jwt/v5"},
		Why: "the front door is given a store, it never chooses one: whoever links D-Bus asked for it"},
	{Dir: "client/login", Ours: []string{"client", "tokensource", "transport/dpop"}, Theirs: []string{"github.com/pkg/browser", "github.com/cli/browser", "golang.org/x/term"},
		Why: "flows hand a Grant to the client and leave keeping it to others"},

	{Dir: "internal/testserver", Theirs: []string{"github.com/golang-jwt/jwt/v5", "golang.org/x/time/rate"}, Why: "an independent witness: it shares no code with what it judges"},
	{Dir: "internal/filelock", Theirs: []string{"golang.org/x/sys/..."}, Why: "a leaf: one lock file"},
	{Dir: "internal/fleet", Why: "tests of whole processes; nothing that a program could link"},
	{Dir: "internal/acceptance", Why: "tests of the library against the test server; nothing that a program could link"},
	{Dir: "internal/simulation", Why: "tests of the session against models; nothing that a program could link"},
	{Dir: "internal/mutation", Why: "it builds the tests of others over a changed file; nothing that a program could link"},
	{Dir: "internal/repotest", Why: "it reads the tree as text and needs none of it"},
	{Dir: "authtest", Ours: []string{"internal/testserver"}, Why: "it opens the test server to users; a client in it would no longer be a witness"},
	{Dir: "cmd/authtestd/internal/drivers", Ours: []string{"internal/testserver"}, Theirs: []string{"github.com/jackc/pgx/v5/...", "modernc.org/sqlite"},
		Why: "the one place that links a database driver"},
	{Dir: "cmd/authtestd", Ours: []string{"internal/testserver", "authtest", "cmd/authtestd/internal/drivers"}, Why: "the test server as a command"},

	{Dir: "examples/...", Ours: everything, Theirs: everything, Why: "a program may use everything"},
	{Dir: "bench/...", Ours: everything, Theirs: everything, Why: "a nested module that compares with the peers"},
	{Dir: "internal/interop/...", Ours: everything, Theirs: everything, Why: "a nested module for third parties"},
}

func TestEveryPackageImportsOnlyWhatItsLayerAllows(t *testing.T) {
	silent(t, repotest.Layers(theTree(t), layers))
}

// confined lists what has one home.
var confined = []repotest.Confined{
	{Import: "github.com/zalando/go-keyring/...", To: []string{"tokensource/keyringstore", "bench/...", "internal/interop/..."},
		Why: "it can hang, panic and lose a write; keyringstore is where that is dealt with"},
	{Import: "github.com/godbus/dbus/v5/...", To: []string{"tokensource/keyringstore", "tokensource/internal/fakesecrets", "internal/interop/..."},
		Why: "only the keyring speaks D-Bus"},
	{Import: "github.com/stretchr/testify/...", InTests: true, To: []string{"internal/interop/..."},
		Why: "a program that uses pawl must not link an assertion library"},
	{Import: "golang.org/x/oauth2/...", To: []string{"tokensource/oauth2adapt", "examples/...", "bench/...", "internal/interop/..."},
		Why: "pawl is measured against it and translated to it, but does not stand on it"},
	{Import: "unsafe", Why: "nothing here needs it"},
	{Import: "golang.org/x/sync/singleflight", To: []string{"tokensource"}, Why: "one flight per session is the session's business"},
}

func TestWhatHasOneHomeIsImportedNowhereElse(t *testing.T) {
	silent(t, repotest.Confine(theTree(t), confined))
}

// forbidden lists what must not be linked, however indirectly.
var forbidden = []repotest.Forbidden{
	{From: "tokensource", To: "github.com/godbus/...", Why: "a program links D-Bus only if it imports keyringstore"},
	{From: "transport/...", To: "github.com/godbus/...", Why: "a program links D-Bus only if it imports keyringstore"},
	{From: "client/...", To: "github.com/godbus/...", Why: "a program links D-Bus only if it imports keyringstore"},
	{From: "tokensource", To: "github.com/zalando/...", Why: "the keyring is a choice"},
	{From: "transport/...", To: "github.com/zalando/...", Why: "the keyring is a choice"},
	{From: "client/...", To: "github.com/zalando/...", Why: "the keyring is a choice"},

	{From: "tokensource", To: "testing", Why: "programs must not get the flags of the test runner"},
	{From: "tokensource/keyringstore", To: repotest.ModulePath + "/tokensource/internal/fakesecrets", Why: "a keyring for tests has no place in a program"},
	{From: "tokensource/keyringstore", To: "testing", Why: "programs must not get the flags of the test runner"},
	{From: "transport/...", To: "testing", Why: "programs must not get the flags of the test runner"},
	{From: "client/...", To: "testing", Why: "programs must not get the flags of the test runner"},
	{From: "authtest", To: "testing", Why: "a program may run the test server too"},
	{From: "internal/testserver", To: "testing", Why: "a program may run the test server too"},
	{From: "cmd/...", To: "testing", Why: "a command is no test"},

	{From: "tokensource", To: "net/http/...", Why: "the session speaks no protocol; its Refresher does"},
	{From: "internal/testserver", To: repotest.ModulePath + "/...", Why: "an independent witness"},
	{From: "authtest", To: repotest.ModulePath + "/tokensource/...", Why: "an independent witness"},
}

func TestNoPackageLinksWhatItMustNot(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			out := goCommand(t, []string{"GOOS=" + goos, "CGO_ENABLED=0"}, "list", "-deps", "-json=ImportPath,Imports", "./...")
			graph := repotest.Graph{}
			for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
				var pkg struct {
					ImportPath string
					Imports    []string
				}
				err := dec.Decode(&pkg)
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				graph[pkg.ImportPath] = pkg.Imports
			}
			require.Contains(t, graph, repotest.ModulePath)
			silent(t, repotest.Reach(graph, forbidden))
		})
	}
}

// requirements is every module that the root module may require directly.
// Whatever else is needed goes into a nested module.
var requirements = map[string]string{
	"github.com/zalando/go-keyring":   "the keyrings of three operating systems",
	"github.com/godbus/dbus/v5":       "asks a keyring whether it would hang, before go-keyring does",
	"github.com/golang-jwt/jwt/v5":    "signs DPoP proofs and client assertions",
	"github.com/stretchr/testify":     "tests",
	"github.com/rogpeppe/go-internal": "testscript, for tests of commands",
	"golang.org/x/oauth2":             "the adapter for programs that come from it, and the benchmark of examples",
	"golang.org/x/sync":               "singleflight: one refresh per process",
	"golang.org/x/sys":                "file locks and the user's directories on Windows",
	"golang.org/x/net":                "idna: one spelling for an origin",
	"golang.org/x/term":               "passwords typed without an echo",
	"golang.org/x/time":               "rate limits of the test server",
	"github.com/pkg/browser":          "opens the browser for a login",
	"github.com/cli/browser":          "opens the browser for a login",
}

func TestTheRootModuleRequiresOnlyWhatIsOnTheList(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []any
	}
	require.NoError(t, json.Unmarshal(goCommand(t, nil, "mod", "edit", "-json"), &mod))
	for _, req := range mod.Require {
		if !req.Indirect {
			assert.NotEmpty(t, requirements[req.Path], "%s: no reason is given for it", req.Path)
		}
	}
	// A replace directive works in our build alone: users do not see it.
	assert.Empty(t, mod.Replace)
}
