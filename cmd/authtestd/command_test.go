package main_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	authtestd "github.com/seed-9a12f4e2/pawl/cmd/authtestd"
)

func TestTheReadyLinesAreForAShell(t *testing.T) {
	t.Parallel()
	p := run(t)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, p.url())
	assert.Equal(t, p.url()+"/oauth/token", p.env["AUTHTEST_TOKEN_URL"])
	assert.Equal(t, strconv.Itoa(p.cmd.Process.Pid), p.env["AUTHTEST_PID"])
	out, err := exec.Command("sh", "-c", p.text+`echo "$AUTHTEST_URL"`).Output()
	require.NoError(t, err)
	assert.Equal(t, p.url()+"\n", string(out))
}

func TestItEndsWellWhenInterrupted(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := run(t)
			conn, err := net.Dial("tcp", strings.TrimPrefix(p.url(), "http://")) // an idle one holds nobody up
			require.NoError(t, err)
			defer conn.Close()
			code, rest := p.stop(t, signal)
			assert.Zero(t, code)
			assert.Empty(t, rest)
		})
	}
}

func TestItSaysThatItIsAlive(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	status, body := curl(t, run(t).url()+"/healthz")
	assert.Equal(t, "200", status)
	assert.JSONEq(t, `{"status":"ok"}`, body)
}

func TestItListensOnLoopbackUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:80"} {
		code, _, stderr := authtestd.Refused(t.Context(), "-addr", addr)
		assert.Equal(t, 2, code, addr)
		assert.Contains(t, stderr, "-unsafe-listen", addr)
	}
	p := run(t, "-addr", "0.0.0.0:0", "-unsafe-listen")
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, p.url(), "a wildcard is no name for an issuer")
	assert.Len(t, p.env["AUTHTEST_KEY"], 26, "others can reach the control plane")
	assert.Empty(t, run(t).env["AUTHTEST_KEY"])
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-profile", "nonesuch"},
		{"-user", "alice"},
		{"-user", "alice:a", "-user", "alice:b"},
		{"-client", "cli"},
		{"-access-ttl", "1"},
		{"-access-ttl", "-1s"},
		{"-idle", "xd"},
		{"-absolute", "99999999d"},
		{"-grace", "10s"},
		{"-profile", "grace", "-grace", "-1s"},
		{"-max-refreshes", "-1"},
		{"-issuer", "nowhere"},
		{"-addr", "127.0.0.1"},
		{"-cert-file", "x"},
		{"-db", "mysql:x"},
		{"-db", "sqlite:"},
		{"-db", "sqlite:" + filepath.Join(t.TempDir(), "none", "x.db")},
		{"-db", "postgres:host=127.0.0.1 port=1 password=hidden"},
		{"-scenario", "nonesuch.json"},
		{"-seed", "-1"},
		{"-auto-approve", "mallory"},
		{"-alg", "none"},
		{"-alg", "HS256", "-access-secret", "hidden"},
		{"-device-interval", "1ms"},
		{"-dpop-nonces", "many"},
		{"-rate-limit", "ip=0/1s"},
		{"-rate-limit", "planet=1/1s"},
		{"-rate-limit", "ip=1"},
		{"-extra-issuer", "a/b"},
		{"-extra-issuer", "a", "-extra-issuer", "a"},
		{"-extra-issuer", "a:nonesuch"},
		{"serve"},
		{"-nonesuch"},
	} {
		code, stdout, stderr := authtestd.Refused(t.Context(), append([]string{"-addr", "127.0.0.1:0"}, args...)...)
		assert.Equal(t, 2, code, "%s", args)
		assert.NotEmpty(t, stderr, "%s", args)
		assert.Empty(t, stdout, "%s", args)
		assert.NotContains(t, stderr, "hidden")
	}
	code, _, stderr := authtestd.Refused(t.Context(), "-help")
	assert.Zero(t, code)
	assert.Contains(t, stderr, "-access-ttl")
}

func TestCurlTrustsTheCertificateThatItWrites(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	named := filepath.Join(t.TempDir(), "ca.pem")
	for _, args := range [][]string{{"-tls"}, {"-tls", "-cert-file", named}} {
		p := run(t, args...)
		ca := p.env["AUTHTEST_CA"]
		assert.Regexp(t, `^https://127\.0\.0\.1:\d+$`, p.url())
		status, _ := curl(t, "--cacert", ca, p.url()+"/healthz")
		assert.Equal(t, "200", status)
		_, err := exec.Command("curl", "-sS", p.url()+"/healthz").Output()
		assert.Error(t, err, "trusted without being told to")
		p.stop(t, os.Interrupt)
		_, err = os.Stat(ca)
		assert.Equal(t, ca == named, err == nil, "a file of its own is removed, one that was asked for is not")
	}
}

// What a client did wrong must be able to fail a script.
func TestTheReportFailsWhenAClientDidWrong(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	for _, wrong := range []bool{false, true} {
		p := run(t, "-report", "-user", "alice:a:b", "-profile", "firstparty")
		_, body := curl(t, p.url()+"/login", "--json", `{"username":"alice","password":"a:b"}`)
		var tokens struct{ RefreshToken string }
		require.NoError(t, json.Unmarshal([]byte(body), &tokens))
		present := func() string {
			status, _ := curl(t, p.url()+"/refresh", "--json", `{"refreshToken":"`+tokens.RefreshToken+`"}`)
			return status
		}
		require.Equal(t, "200", present())
		if wrong {
			require.Equal(t, "401", present())
		}
		code, out := p.stop(t, syscall.SIGTERM)
		require.NotEmpty(t, out)
		assert.Contains(t, out[0], "rotations=1")
		if wrong {
			assert.Equal(t, 1, code)
			assert.Contains(t, strings.Join(out, "\n"), "violation rule=refresh-token-reused session=ses_")
		} else {
			assert.Zero(t, code)
			assert.Len(t, out, 1)
		}
		assert.NotContains(t, strings.Join(out, "\n"), tokens.RefreshToken)
	}
}

// go run ./cmd/authtestd, from the root of a clone, works by way of go.work.
func TestTheRootOfACloneKnowsTheCommand(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-deps", "./cmd/authtestd")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOWORK=", "GOFLAGS=-mod=readonly")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "pawl/internal/testserver\n")
}

func TestAScenarioIsInForceFromTheStart(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	file := write("once.json", `{"faults": [{"on": "login", "answer": {"status": 503}}]}`)
	for _, met := range []bool{true, false} {
		p := run(t, "-report", "-scenario", file)
		if met {
			status, _ := curl(t, p.url()+"/login", "--json", `{"username":"alice","password":"secret"}`)
			assert.Equal(t, "503", status)
		}
		code, out := p.stop(t, os.Interrupt)
		if met {
			assert.Zero(t, code)
		} else {
			assert.Equal(t, 1, code, "a fault that met no request has tested nothing")
			assert.Contains(t, strings.Join(out, "\n"), "never fired: fault on login at before-handler")
		}
	}
	for name, bad := range map[string]string{"misspelt.json": `{"fault": []}`, "wrong.json": `{"faults": [{"on": "x", "drop": true}]}`, "cut.json": `{`} {
		code, _, stderr := authtestd.Refused(t.Context(), "-addr", "127.0.0.1:0", "-scenario", write(name, bad))
		assert.Equal(t, 2, code, name)
		assert.Contains(t, stderr, name)
	}
	p := run(t, "-scenario", write("greeting.json", `{"faults": [{"at": "on-accept", "reset": true}]}`))
	_, err := exec.Command("curl", "-sS", p.url()+"/healthz").Output()
	assert.Error(t, err, "the first connection was to be reset")
	status, _ := curl(t, p.url()+"/healthz")
	assert.Equal(t, "200", status)
}
