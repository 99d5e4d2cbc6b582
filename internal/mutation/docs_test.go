package mutation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The table stands in docs/simulation.md between these.
const (
	begins = "<!-- the table of internal/mutation begins -->\n"
	ends   = "<!-- the table of internal/mutation ends -->\n"
)

// checkTable compares the table in the docs with what was seen, or writes it.
func checkTable(t *testing.T, seen []outcome) {
	t.Helper()
	name := filepath.Join(root, "docs", "simulation.md")
	page, err := os.ReadFile(name)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), begins)
	require.True(t, found, "docs/simulation.md has lost the line %q", begins)
	old, after, found := strings.Cut(rest, ends)
	require.True(t, found, "docs/simulation.md has lost the line %q", ends)
	table := render(seen)
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(before+begins+table+ends+after), 0o600))
		return
	}
	assert.Equal(t, table, old, "docs/simulation.md says something else: run make mutate ARGS=-mutation.update")
}

func render(seen []outcome) string {
	var b strings.Builder
	b.WriteString("\n| rule | taken out | what turns red | run |\n|---|---|---|---|\n")
	for i, m := range mutations {
		fmt.Fprintf(&b, "| %d | %s | %s | `%s` |\n", m.rule, m.what, seen[i].said, seen[i].run)
	}
	b.WriteString("\n")
	return b.String()
}
