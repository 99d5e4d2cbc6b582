//go:build linux

package keyringstore_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables of docs/keyring.md anew")

const page = "../../docs/keyring.md"

// timetable is a table of the page. Its columns of times differ from run to
// run; the rest must not.
type timetable struct {
	head []string
	rows [][]string
}

func (tt *timetable) add(cells ...string) { tt.rows = append(tt.rows, cells) }

func (tt *timetable) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(tt.head)
	b.WriteString(strings.Repeat("|---", len(tt.head)) + "|\n")
	for _, row := range tt.rows {
		line(row)
	}
	return b.String()
}

// duration writes a time in as many digits as mean something.
func duration(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

var aTime = regexp.MustCompile(`\d+(\.\d+)? m?s\b`)

// onThePage compares the table with the one on the page that has its name, or
// writes it there. What was run in part only makes no table.
func (tt *timetable) onThePage(t *testing.T, name string, complete bool) {
	t.Helper()
	if t.Failed() || !complete {
		return
	}
	raw, err := os.ReadFile(page)
	require.NoError(t, err)
	begin := "<!-- " + name + " -->\n"
	before, rest, ok := strings.Cut(string(raw), begin)
	require.True(t, ok, "%s has no %q", page, begin)
	old, after, ok := strings.Cut(rest, "\n<!-- end -->")
	require.True(t, ok, "%s: %q has no end", page, begin)
	if *update {
		text := before + begin + tt.String() + "\n<!-- end -->" + after
		require.NoError(t, os.WriteFile(page, []byte(text), 0o644))
		return
	}
	timeless := func(s string) string { return aTime.ReplaceAllString(strings.TrimSpace(s), "a time") }
	assert.Equal(t, timeless(tt.String()), timeless(old),
		"%s is stale: sh scripts/secret-service.sh go test ./tokensource/keyringstore -args -update", page)
}
