package repotest_test

import (
	"encoding/json"
	"os"
	"path"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outsideWorkspace lists modules that are no part of go.work.
var outsideWorkspace = map[string]string{
	"tools": "a linter's requirements would raise the versions that everything else is built with",
}

func TestTheWorkspaceUsesEveryModule(t *testing.T) {
	var work struct {
		Use     []struct{ DiskPath string }
		Replace []any
	}
	require.NoError(t, json.Unmarshal(goCommand(t, nil, "work", "edit", "-json", "go.work"), &work))
	var used []string
	for _, use := range work.Use {
		used = append(used, path.Clean(use.DiskPath))
	}
	for _, mod := range theTree(t).Modules {
		if outsideWorkspace[mod] == "" {
			assert.Contains(t, used, mod, "go work use ./%s", mod)
		} else {
			assert.NotContains(t, used, mod, outsideWorkspace[mod])
		}
	}
	// A module with its own replace works without the workspace as well.
	assert.Empty(t, work.Replace)
}

func TestTheScriptsCanBeRun(t *testing.T) {
	for _, name := range []string{".ci/run", "scripts/secret-service.sh"} {
		info, err := os.Stat(path.Join(root, name))
		require.NoError(t, err)
		// Windows keeps no such bit in its file system.
		if os.PathSeparator == '/' {
			assert.NotZero(t, info.Mode()&0o100, "%s is not executable", name)
		}
	}
}
