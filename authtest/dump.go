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

// report says what is still owed at the end of a test, and leaves what the
// server saw of a failed one, free of tokens, where its test keeps files.
func (s *Server) report(tb TB) {
	for _, r := range s.inner.Unfired() {
		tb.Errorf("authtest: never fired: %v", r)
	}
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
