package main_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// instructions are the lines of the container file by their first word, each
// with what follows it. There is no engine here to build it with: what it says
// is held against what the program needs, and done by hand.
func instructions(t *testing.T) map[string][]string {
	t.Helper()
	file, err := os.ReadFile("Containerfile")
	require.NoError(t, err)
	out := map[string][]string{}
	for line := range strings.Lines(string(file)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word != "" && word != "#" {
			out[word] = append(out[word], rest)
		}
	}
	return out
}

// words reads the JSON form of a command.
func words(t *testing.T, text string) (list []string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text[strings.Index(text, "["):]), &list), text)
	return list
}

func TestTheContainerFileSaysWhatTheProgramNeeds(t *testing.T) {
	t.Parallel()
	file := instructions(t)
	module, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	require.NotNil(t, version)
	assert.Equal(t, []string{"docker.io/library/golang:" + string(version[1]) + " AS build", "scratch"}, file["FROM"])
	assert.Contains(t, file["RUN"][0], "CGO_ENABLED=0", "or it is not one file")
	assert.Equal(t, []string{". .", "--from=build /authtestd /authtestd"}, file["COPY"])

	port := file["EXPOSE"][0]
	start, health := words(t, file["ENTRYPOINT"][0]), words(t, file["HEALTHCHECK"][0])
	assert.Equal(t, []string{"/authtestd", "-addr", "0.0.0.0:" + port, "-unsafe-listen", "-issuer", "http://127.0.0.1:" + port}, start)
	assert.Equal(t, []string{"/authtestd", "-healthcheck", "http://127.0.0.1:" + port}, health)
}

// emptyRoot is a directory with the program in it and nothing else.
func emptyRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		const why = "only root may change the root directory"
		require.NotEqual(t, "1", os.Getenv("PAWL_REQUIRE_SERVICES"), why)
		t.Skip(why)
	}
	dir := t.TempDir()
	program, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authtestd"), program, 0o755))
	return dir
}

// inside is a command whose root directory is dir.
func inside(dir string, as *syscall.Credential, words ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: as}
	return cmd
}

// This is what the container file relies on: FROM scratch holds nothing else,
// and its user owns nothing.
func TestItRunsAsTheContainerFileSays(t *testing.T) {
	t.Parallel()
	dir, file := emptyRoot(t), instructions(t)
	program, err := elf.Open(binary)
	require.NoError(t, err)
	defer func() { _ = program.Close() }()
	libraries, err := program.ImportedLibraries()
	require.NoError(t, err)
	assert.Empty(t, libraries)

	user, group, _ := strings.Cut(file["USER"][0], ":")
	uid, err := strconv.ParseUint(user, 10, 32)
	require.NoError(t, err, "there is no file that could name a user")
	gid, err := strconv.ParseUint(group, 10, 32)
	require.NoError(t, err)
	require.NotZero(t, uid)
	as := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}

	start, port := words(t, file["ENTRYPOINT"][0]), file["EXPOSE"][0]
	for i := range start { // a free port in place of the fixed one
		if strings.HasPrefix(start[i], "0.0.0.0:") {
			start[i] = "0.0.0.0:0"
		}
	}
	p := runCommand(t, inside(dir, as, start...))
	assert.Equal(t, "http://127.0.0.1:"+port, p.url())
	assert.NotEmpty(t, p.env["AUTHTEST_KEY"])

	_, free, _ := strings.Cut(strings.ReplaceAll(p.env["AUTHTEST_ADDR"], "[::]", "any"), ":")
	health := words(t, strings.ReplaceAll(file["HEALTHCHECK"][0], port, free))
	out, err := inside(dir, as, health...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	code, _ := p.stop(t, syscall.SIGTERM)
	assert.Zero(t, code)
	assert.Error(t, inside(dir, as, health...).Run(), "it is gone")
}

// With -tls it needs a place for the certificate: there is no directory for
// temporary files.
func TestItServesTLSInAnEmptyRootDirectory(t *testing.T) {
	t.Parallel()
	dir := emptyRoot(t)
	p := runCommand(t, inside(dir, nil, "/authtestd", "-addr", "127.0.0.1:0", "-tls", "-cert-file", "/ca.pem"))
	out, err := inside(dir, nil, "/authtestd", "-healthcheck", p.url(), "-tls", "-cert-file", "/ca.pem").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = inside(dir, nil, "/authtestd", "-healthcheck", p.url()).CombinedOutput()
	require.Error(t, err, "trusted without being told to")
	assert.Contains(t, string(out), "authtestd: -healthcheck:")
}
