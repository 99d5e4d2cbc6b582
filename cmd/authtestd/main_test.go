package main_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is for what another process does at once or never.
const patience = 20 * time.Second

// binary is the real program, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m.Run)) }

func withBinary(tests func() int) int {
	dir, err := os.MkdirTemp("", "authtestd-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "authtestd")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // one static file
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	code := tests()
	chromium.stop()
	return code
}

// program is a running authtestd.
type program struct {
	cmd   *exec.Cmd
	text  string            // the ready lines
	env   map[string]string // what they say
	lines <-chan string     // what it prints after them; closed at its end
}

// run starts the real program and reads its ready lines.
func run(t *testing.T, args ...string) *program {
	t.Helper()
	return runCommand(t, exec.Command(binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...))
}

func runCommand(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	p := &program{cmd: cmd, env: map[string]string{}, lines: lines}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	for p.env["AUTHTEST_PID"] == "" {
		line, ok := p.line(t)
		require.True(t, ok, "it ended before it was ready")
		assignment, ok := strings.CutPrefix(line, "export ")
		require.True(t, ok, "not for a shell: %s", line)
		p.text += line + "\n"
		name, value, _ := strings.Cut(assignment, "=")
		p.env[name] = strings.Trim(value, "'")
	}
	return p
}

func (p *program) line(t *testing.T) (string, bool) {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		return line, ok
	case <-time.After(patience):
		require.FailNow(t, "it says nothing")
		return "", false
	}
}

// stop interrupts the program, and returns its exit status and last lines.
func (p *program) stop(t *testing.T, with os.Signal) (int, []string) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(with))
	var out []string
	for line, ok := p.line(t); ok; line, ok = p.line(t) {
		out = append(out, line)
	}
	_ = p.cmd.Wait() // the status says it
	return p.cmd.ProcessState.ExitCode(), out
}

func (p *program) url() string { return p.env["AUTHTEST_URL"] }

// local is where it listens, whatever its issuer is called.
func (p *program) local() string { return "http://" + p.env["AUTHTEST_ADDR"] }

// curl runs the real one and returns the status and the body.
func curl(t *testing.T, args ...string) (status, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "curl", append([]string{"-sS", "-w", "\n%{http_code}"}, args...)...).Output()
	require.NoError(t, err, "%s", args)
	body = string(out)
	cut := strings.LastIndexByte(body, '\n')
	return body[cut+1:], body[:cut]
}

// needs skips the test where a program is missing, and fails it where nothing
// may be missing.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("PAWL_REQUIRE_SERVICES") == "1" {
		require.FailNow(t, name+" is missing")
	}
	t.Skip(name + " is missing")
}
