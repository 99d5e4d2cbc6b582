package authtest

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
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
	dir := keeper.ArtifactDir()
	seen, err := json.MarshalIndent(struct {
		Exchanges  []Exchange
		Violations []Violation
	}{s.Exchanges(AnyEndpoint), s.Violations()}, "", "\t")
	file := ""
	if err == nil {
		file, err = keepIn(dir, seen)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed with what another server of the test has left there
		tb.Logf("authtest: what the server saw is kept by go test -artifacts")
	case err != nil:
		tb.Logf("authtest: what the server saw could not be kept: %v", err)
	default:
		tb.Logf("authtest: what the server saw is in %s, which go test -artifacts keeps", file)
	}
}

// keepIn writes a file with a name of its own: a test may have many servers.
func keepIn(dir string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(dir, "authtest-exchanges-*.json")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	return f.Name(), errors.Join(err, f.Close())
}
