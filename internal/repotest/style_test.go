package repotest_test

import (
	"testing"

	"github.com/seed-9a12f4e2/pawl/internal/repotest"
)

// mayReveal lists the files, tests apart, that take a secret out of its
// wrapper.
var mayReveal = map[string]string{
	"tokensource/secret.go": "compares in constant time",
	"tokensource/token.go":  "joins the Authorization value once",
	"tokensource/record.go": "encodes the record for the store",
	"tokensource/memory.go": "hands out the record that it keeps",

	"transport/transport.go": "writes the Authorization header field",

	"client/oauth.go":      "writes the form and the Basic authentication of a token request",
	"client/firstparty.go": "writes the JSON of a token request",
	"client/scrub.go":      "looks for what was sent in what came back, to strike it out",
}

func TestSecretsAreRevealedOnlyWhereTheListSays(t *testing.T) {
	silent(t, repotest.Reveals(theTree(t), mayReveal))
}

func TestImportingAPackageDoesNothing(t *testing.T) {
	silent(t, repotest.Inits(theTree(t)))
}

// mayChange lists package-level variables that look as if they could change,
// as "directory.name".
var mayChange = map[string]string{
	"tokensource/keyringstore.process": "go-keyring has one connection per process behind one lock: a call that hangs blocks all of them, so there is one worker for all stores",
}

func TestNoPackageHasStateOfItsOwn(t *testing.T) {
	silent(t, repotest.GlobalState(theTree(t), mayChange))
}

// maySleep lists files that sleep on the wall clock.
var maySleep = map[string]string{
	"tokensource/internal/sealedfile/file_patient.go": "Windows tells nobody when a reader closes the file that a rename replaces",
	"tokensource/keyringstore/support_test.go":        "another process gives no signal",
	"tokensource/storetest/kill.go":                   "kills at random times, which is what the time is for",
	"tokensource/storetest/process.go":                "a turn with the lease takes longer than to ask for the next",
	"tokensource/window_test.go":                      "a helper that is called inside bubbles",
	"internal/acceptance/world_test.go":               "a helper that is called inside bubbles",
	"internal/simulation/process_test.go":             "helpers that are called inside bubbles",
	"bench/bench_test.go":                             "a server that takes a while, on the wall clock that a benchmark needs",
	"client/wire_test.go":                             "a helper that is called inside bubbles",
}

func TestNothingSleepsOutsideABubble(t *testing.T) {
	silent(t, repotest.Sleeps(theTree(t), maySleep))
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	bad, notes := repotest.Lengths(theTree(t), repotest.Limits{
		SoftFile: 400, HardFile: 500, SoftFunc: 60, HardFunc: 100,
		Excused: map[string]string{},
	})
	for _, note := range notes {
		t.Log(note)
	}
	silent(t, bad)
}

func TestNoFileNamesTheMachineItWasWrittenOn(t *testing.T) {
	silent(t, repotest.Words(theTree(t), map[string]string{
		// In two halves, or this file would be found.
		"/wo" + "rk/": "an absolute path of one machine",
		"/ro" + "ot/": "an absolute path of one machine",
	}))
}
