package authtest_test

import (
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// loggingTB is a TB that takes a log, as testing.TB does.
type loggingTB struct {
	fakeTB
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *loggingTB) Output() io.Writer { return l }

func (l *loggingTB) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *loggingTB) whole() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestTheServersLogGoesToTheTestAndHoldsNoToken(t *testing.T) {
	for name, open := range map[string]func(authtest.TB, authtest.Config) *authtest.Server{
		"loopback": authtest.NewWith, "pipe": authtest.NewPipe, "TLS": authtest.NewTLS,
		"an issuer": func(tb authtest.TB, cfg authtest.Config) *authtest.Server {
			return authtest.New(tb).Issuer(tb, "one", cfg)
		},
	} {
		for _, alg := range []authtest.SigningAlgorithm{authtest.ES256, authtest.HS256} {
			tb := &loggingTB{}
			srv := open(tb, authtest.Config{Profile: authtest.FirstParty, SigningAlgorithm: alg})
			tokens := srv.Login("alice", "laptop")
			got := refreshSeen(srv, tokens.RefreshToken)
			require.Equal(t, 200, got.status, name)
			assert.Equal(t, 400, refreshSeen(srv, tokens.RefreshToken).status)
			call(t, srv, srv.URL()+"/api/me?token="+tokens.RefreshToken, tokens.RefreshToken)
			call(t, srv, srv.URL()+"/nowhere/"+tokens.AccessToken, tokens.AccessToken)
			tb.end()
			log := tb.whole()
			for _, line := range []string{
				"level=DEBUG msg=exchange", "outcome=rotated", `msg="refresh refused" outcome=reuse_detected`, `msg="suspicious use" reason=reuse`,
				"session=" + tokens.SessionID,
			} {
				assert.Contains(t, log, line, name)
			}
			for _, token := range []string{
				tokens.RefreshToken, tokens.AccessToken, got.member("refresh_token").(string), got.member("access_token").(string),
			} {
				assert.NotContains(t, log, token[strings.LastIndex(token, ".")+1:], name)
			}
		}
	}
}

func TestALogOfTheConfigIsTheOnlyOne(t *testing.T) {
	tb, mine := &loggingTB{}, &loggingTB{}
	srv := authtest.NewPipe(tb, authtest.Config{Log: slog.New(slog.NewTextHandler(mine, nil))})
	refreshSeen(srv, "rt_unknown")
	tb.end()
	assert.Empty(t, tb.whole())
	assert.Contains(t, mine.whole(), "unknown_token")
}
