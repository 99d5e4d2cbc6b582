package drivers_test

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/cmd/authtestd/internal/drivers"
	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// place is where servers keep their state: each connect is what another
// process over it would open.
type place struct {
	dsn  string  // empty: in memory
	peek *sql.DB // to look at what servers have left there
}

// places are those that every promise is tested on.
func places() []string { return []string{"memory", "sqlite", "postgres"} }

// fresh makes an empty place.
func fresh(tb testing.TB, kind string) place {
	tb.Helper()
	switch kind {
	case "sqlite":
		return at(tb, "sqlite:"+filepath.Join(tb.TempDir(), "a b?#%.db"))
	case "postgres":
		return at(tb, freshPostgres(tb))
	}
	return place{}
}

func at(tb testing.TB, dsn string) place {
	tb.Helper()
	p := place{dsn: dsn}
	p.peek, _ = p.open(tb)
	return p
}

// freshPostgres makes a schema, and drops it at the end.
func freshPostgres(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv("PAWL_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
			tb.Fatal("PAWL_REQUIRE_SERVICES=1, and PAWL_TEST_POSTGRES is not set: run under scripts/postgres.sh")
		}
		tb.Skip("no PostgreSQL: run under scripts/postgres.sh")
	}
	db, _, err := drivers.Open("postgres:" + server)
	require.NoError(tb, err)
	schema := "t" + strings.ToLower(rand.Text())
	_, err = db.Exec("CREATE SCHEMA " + schema)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_, _ = db.Exec("DROP SCHEMA " + schema + " CASCADE")
		_ = db.Close()
	})
	return "postgres:" + server + " search_path=" + schema
}

// open connects to the database of a place.
func (p place) open(tb testing.TB) (*sql.DB, testserver.SQLDialect) {
	tb.Helper()
	db, dialect, err := drivers.Open(p.dsn)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	return db, dialect
}

func (p place) store(tb testing.TB) testserver.Store {
	tb.Helper()
	if p.dsn == "" {
		return nil
	}
	db, dialect := p.open(tb)
	store, err := testserver.OpenSQL(tb.Context(), db, dialect)
	require.NoError(tb, err)
	return store
}

// node is one server over a place, asked without a network.
type node struct{ *testserver.Server }

// began is when every server's clock starts; a whole second and a bit.
func began() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC) }

func (p place) serve(tb testing.TB, profile string, change func(*testserver.Config)) node {
	tb.Helper()
	kind, err := testserver.ProfileNamed(profile)
	require.NoError(tb, err)
	cfg := testserver.Config{
		Issuer: "http://auth.test", Profile: kind, Now: began, Store: p.store(tb),
		Users: []testserver.User{{Name: "alice", Password: "secret"}, {Name: "bob", Password: "hunter2"}},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := testserver.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(s.Close)
	return node{s}
}

// everywhere runs a test over each place.
func everywhere(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	each(t, places(), test)
}

// shared runs a test over the places that processes can share.
func shared(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	each(t, places()[1:], test)
}

// each runs beside all other tests: each place is the test's own, and SQLite
// has work for one processor only.
func each(t *testing.T, kinds []string, test func(t *testing.T, p place)) {
	t.Helper()
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t, kind))
		})
	}
}

// answer is what came of a request.
type answer struct {
	outcome         testserver.Outcome
	status          int
	access, refresh string
}

func read(status int, header http.Header, body []byte) answer {
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	_ = json.Unmarshal(body, &tokens) // what is not there stays empty
	return answer{testserver.Outcome(header.Get("X-Authtest-Outcome")), status, tokens.Access, tokens.Refresh}
}

// do is safe in goroutines: it fails no test.
func (n node) do(r *http.Request) answer {
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, r)
	return read(w.Code, w.Header(), w.Body.Bytes())
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {token}}
}

func (n node) post(path string, form url.Values) answer {
	r := httptest.NewRequest(http.MethodPost, "http://auth.test"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return n.do(r)
}

func (n node) refresh(token string) answer { return n.post("/oauth/token", refreshForm(token)) }

func (n node) me(access string) answer {
	r := httptest.NewRequest(http.MethodGet, "http://auth.test/api/me", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	return n.do(r)
}

func (n node) login(tb testing.TB) testserver.Tokens {
	tb.Helper()
	tokens, err := n.Login("alice", "laptop")
	require.NoError(tb, err)
	return tokens
}

// race presents one token many times at once, to the nodes in turn.
func race(token string, racers int, during func(), nodes ...node) []answer {
	answers := make([]answer, racers)
	var ready, wg sync.WaitGroup
	ready.Add(racers)
	for i := range answers {
		wg.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = nodes[i%len(nodes)].refresh(token)
		})
	}
	if during != nil {
		ready.Wait()
		during()
	}
	wg.Wait()
	return answers
}

func tally(answers []answer) map[testserver.Outcome]int {
	out := make(map[testserver.Outcome]int)
	for _, a := range answers {
		out[a.outcome]++
	}
	return out
}

// active counts the active refresh tokens of a session; -1 in memory, where
// only answers can tell.
func (p place) active(tb testing.TB, session string) int {
	tb.Helper()
	if p.dsn == "" {
		return -1
	}
	var n int
	err := p.peek.QueryRow(`SELECT count(*) FROM refresh_tokens WHERE status = 0 AND session_id = $1`, session).Scan(&n)
	require.NoError(tb, err)
	return n
}

// closed is a database that answers nothing any more.
func closed(tb testing.TB) *sql.DB {
	tb.Helper()
	db, _ := fresh(tb, "sqlite").open(tb)
	require.NoError(tb, db.Close())
	return db
}
