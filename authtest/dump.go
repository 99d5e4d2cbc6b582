package authtest

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// artifacts is what a TB has if it keeps the files of a failed test, as
// testing.TB does.
type artifacts interface {
	Failed() bool
	ArtifactDir() string
}

// end says what is still owed at the end of a test, closes the server, and
// leaves what that saw of a failed test, free of tokens, where the test keeps
// its files. Closing comes first: it waits until every request is booked.
func (s *Server) end(tb TB) {
	for _, r := range s.inner.Unfired() {
		tb.Errorf("authtest: never fired: %v", r)
	}
	s.Close()
	keeper, ok := tb.(artifacts)
	if !ok || !keeper.Failed() {
		return
	}
	file := filepath.Join(keeper.ArtifactDir(), "authtest-exchanges.json")
	seen, err := json.MarshalIndent(struct {
		Exchanges  []Exchange
		Violations []Violation
	}{s.Exchanges(AnyEndpoint), s.Violations()}, "", "\t")
	if err == nil {
		err = os.WriteFile(file, seen, 0o600)
	}
	if err != nil {
		tb.Logf("authtest: what the server saw could not be kept: %v", err)
		return
	}
	tb.Logf("authtest: what the server saw is in %s", file)
}
