package main_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what is checked in: the transcripts and the screenshots")

// transcript is one recording in the README: the flags of the server, then a
// block of commands, each followed by its output.
var transcript = regexp.MustCompile("(?s)<!-- transcript: ?(.*?) ?-->\n```console\n(.*?)```\n")

func TestTheTranscriptsInTheReadmeAreCurrent(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	checked, err := os.ReadFile("README.md")
	require.NoError(t, err)
	found := transcript.FindAllStringSubmatchIndex(string(checked), -1)
	require.NotEmpty(t, found)
	current, end := "", 0
	for _, at := range found {
		current += string(checked[end:at[4]])
		end = at[5]
		p := run(t, strings.Fields(string(checked[at[2]:at[3]]))...)
		current += p.record(t, string(checked[at[4]:at[5]]))
	}
	current += string(checked[end:])
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(current), 0o644))
		return
	}
	assert.Equal(t, string(checked), current, "run go test -run Readme -update")
}

// record runs the commands of a block again.
func (p *program) record(t *testing.T, block string) string {
	t.Helper()
	dir, env := t.TempDir(), append(os.Environ(), p.environ()...)
	var out strings.Builder
	var refresh string
	for line := range strings.Lines(block) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir, cmd.Env = dir, env
		answer, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", command, answer)
		out.WriteString(line + p.timeless(string(answer)))
		if access, next := tokensIn(answer); access != "" {
			env = append(env, "ACCESS="+access)
			if next != "" && next != refresh {
				env = append(env, "RETIRED="+refresh, "REFRESH="+next)
				refresh = next
			}
		}
	}
	return out.String()
}

func (p *program) environ() (env []string) {
	for name, value := range p.env {
		env = append(env, name+"="+value)
	}
	return env
}

// tokensIn reads the tokens of an answer in any dialect.
func tokensIn(answer []byte) (access, refresh string) {
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`

		AccessToken, RefreshToken string
	}
	from := strings.IndexByte(string(answer), '{')
	if from < 0 {
		return "", ""
	}
	_ = json.NewDecoder(strings.NewReader(string(answer[from:]))).Decode(&tokens)
	return tokens.Access + tokens.AccessToken, tokens.Refresh + tokens.RefreshToken
}

// timeless puts the same in place of what differs from run to run.
func (p *program) timeless(s string) string {
	s = strings.ReplaceAll(s, p.url(), "http://127.0.0.1:9400")
	for _, r := range []struct{ varying, same string }{
		{`eyJ[\w-]+\.[\w-]+\.[\w-]+`, "eyJ..."},
		{`rt_[\w-]{43}`, "rt_..."},
		{`ses_[A-Z0-9]+`, "ses_..."},
		{`ac_[A-Z0-9]+`, "ac_..."},
		{`127\.0\.0\.1%3A\d+`, "127.0.0.1%3A9400"},
		{`\r\n`, "\n"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, "2026-01-02T03:04:05Z"},
	} {
		s = regexp.MustCompile(r.varying).ReplaceAllString(s, r.same)
	}
	return s
}
