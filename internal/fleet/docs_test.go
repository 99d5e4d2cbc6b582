package fleet_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// docsMu keeps the tests that run side by side from writing at once.
var docsMu sync.Mutex

// section is a table in docs/crashes.md, between two comments that name it.
type section struct {
	name string
	head []string
	mu   sync.Mutex // guards rows
	rows map[string]string
}

func newSection(name string, head []string) *section {
	return &section{name: name, head: head, rows: make(map[string]string)}
}

// put adds a row, and with -fleet.update writes what there is into the page.
func (s *section) put(t *testing.T, key, row string) {
	t.Helper()
	if !*update {
		return
	}
	s.mu.Lock()
	s.rows[key] = row
	lines := slices.Clone(s.head)
	for _, k := range slices.Sorted(maps.Keys(s.rows)) {
		lines = append(lines, s.rows[k])
	}
	s.mu.Unlock()

	docsMu.Lock()
	defer docsMu.Unlock()
	const path = "../../docs/crashes.md"
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	begin, end := "<!-- "+s.name+" -->\n", "<!-- end of "+s.name+" -->\n"
	before, rest, ok := strings.Cut(string(page), begin)
	require.True(t, ok, begin)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, end)
	text := before + begin + strings.Join(lines, "\n") + "\n" + end + after
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}
