package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// This is what the container file relies on: FROM scratch holds nothing else.
func TestItRunsInAnEmptyRootDirectory(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	if os.Geteuid() != 0 {
		t.Skip("only root may change the root directory")
	}
	dir := t.TempDir()
	program, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authtestd"), program, 0o755))

	// The flags of the container file, on a port of their own, and a certificate
	// where there is no directory for temporary files.
	cmd := exec.Command("/authtestd", "-addr", "0.0.0.0:0", "-unsafe-listen", "-tls", "-cert-file", "/ca.pem")
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
	p := runCommand(t, cmd)
	status, body := curl(t, "--cacert", filepath.Join(dir, "ca.pem"), p.url()+"/healthz")
	assert.Equal(t, "200", status)
	assert.JSONEq(t, `{"status":"ok"}`, body)
	code, _ := p.stop(t, syscall.SIGTERM)
	assert.Zero(t, code)
}
