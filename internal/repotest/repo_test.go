package repotest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/internal/repotest"
)

// root is the directory of the root module.
const root = "../.."

var loadTree = sync.OnceValues(func() (*repotest.Tree, error) { return repotest.Load(os.DirFS(root)) })

// theTree returns the repository, parsed once for all rules.
func theTree(t *testing.T) *repotest.Tree {
	t.Helper()
	tree, err := loadTree()
	require.NoError(t, err)
	return tree
}

// silent asserts that a rule has no complaint.
func silent(t *testing.T, bad []string) {
	t.Helper()
	for _, complaint := range bad {
		t.Error(complaint)
	}
}

// goCommand runs the go command over the root module alone.
func goCommand(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	dir, err := filepath.Abs(root)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "PWD="+dir), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), stderr.String())
	return out
}

func TestTheTreeIsReadWhole(t *testing.T) {
	tree := theTree(t)
	assert.Contains(t, tree.Modules, ".")
	assert.Contains(t, tree.Texts, "go.mod")
	assert.Contains(t, tree.Packages(), ".")
	assert.Contains(t, tree.Packages(), "internal/repotest")
}
