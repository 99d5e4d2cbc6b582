package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	authtestd "github.com/seed-9a12f4e2/pawl/cmd/authtestd"
)

func TestTheHealthCheckBelievesNoOtherAnswer(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, args := range [][]string{
		{"-healthcheck", down.URL}, {"-healthcheck", "http://127.0.0.1:1"}, {"-healthcheck", "nowhere"}, {"-healthcheck", ":"},
		{"-healthcheck", "https://127.0.0.1:1", "-tls", "-cert-file", empty}, {"-healthcheck", "https://127.0.0.1:1", "-tls", "-cert-file", "nonesuch"},
	} {
		code, stdout, stderr := authtestd.Refused(t.Context(), args...)
		assert.Equal(t, 2, code, args)
		assert.Empty(t, stdout, args)
		assert.Contains(t, stderr, "authtestd: -healthcheck:", args)
	}
	p := run(t)
	code, _, stderr := authtestd.Refused(t.Context(), "-healthcheck", p.url()+"/")
	assert.Zero(t, code, stderr)
}
