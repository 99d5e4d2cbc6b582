package main_test

import (
	"encoding/json"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// copied is what the page of a request offers to be copied.
func (p *program) copied(t *testing.T, number, what string) string {
	t.Helper()
	page := p.ask(t, "200", "/_test/ui/request/"+number)
	text := regexp.MustCompile(`(?s)<pre [^>]*id="` + what + `-text">(.*?)</pre>`).FindStringSubmatch(page)
	require.NotNil(t, text, page)
	return html.UnescapeString(text[1])
}

// Guards asCurl: what is copied is a command that does the same again.
func TestARequestThatIsCopiedAsCurlWorks(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	p := run(t, "-profile", "grace")
	tk := p.login(t)
	p.spend(t, "200", tk.RefreshToken)
	p.ask(t, "200", "/oauth/token", "-d", "grant_type=refresh_token", "-d", "client_id=cli", "-d", "refresh_token="+tk.RefreshToken)
	p.me(t, tk)
	p.ask(t, "200", "/oauth/token", "-u", "service:service-secret", "-d", "grant_type=client_credentials")
	for number, outcome := range map[string]string{"1": "logged_in", "2": "replayed_same", "3": "replayed_same", "4": "done", "5": "minted"} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", p.copied(t, number, "curl"))
		cmd.Env = append(os.Environ(), "REFRESH="+tk.RefreshToken, "ACCESS="+tk.AccessToken, "NAME=alice", "PASSWORD=secret", "SECRET=service-secret")
		out, err := cmd.Output()
		require.NoError(t, err, number)
		assert.Contains(t, string(out), "X-Authtest-Outcome: "+outcome, number)
	}
}

// Guards asTest: what is copied compiles, with the fault that the request met.
// It is looked at as if it were part of a package that is there.
func TestARequestThatIsCopiedAsAGoTestCompiles(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	p := run(t, "-profile", "grace")
	for _, fault := range []string{
		`{"on":"refresh","at":"after-commit","drop":true}`, `{"on":"refresh","at":"after-commit","edit":"half-json"}`,
		`{"on":"refresh","answer":{"status":503}}`,
	} {
		p.ask(t, "201", "/_test/faults", "--json", fault)
	}
	tk := p.login(t)
	overlay, dir := map[string]string{}, t.TempDir()
	for _, number := range []string{"2", "3", "4"} {
		_ = exec.CommandContext(t.Context(), "curl", "-sS", p.url()+"/refresh", "--json", `{"refreshToken":"`+tk.RefreshToken+`"}`).Run()
		file := filepath.Join(dir, "copied"+number+".go")
		source := "package drivers_test\n\nimport (\n\t\"testing\"\n\n\t\"github.com/seed-9a12f4e2/pawl/authtest\"\n)\n\n" +
			strings.Replace(p.copied(t, number, "test"), "func TestClient(", "func TestClient"+number+"(", 1) + "\n"
		require.Contains(t, source, "srv.Fault(")
		require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
		here, err := filepath.Abs("internal/drivers/copied" + number + "_test.go")
		require.NoError(t, err)
		overlay[here] = file
	}
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), data, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", "-overlay", filepath.Join(dir, "overlay.json"), "./internal/drivers").CombinedOutput()
	assert.NoError(t, err, "%s", out)
}
