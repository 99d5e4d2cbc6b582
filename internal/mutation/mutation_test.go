package mutation_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	all    = flag.Bool("mutation.all", false, "take out every clause, not only the first of each rule")
	update = flag.Bool("mutation.update", false, "write the table of docs/simulation.md; with -mutation.all")
)

const root = "../.."

// outcome is what a mutation turned red.
type outcome struct {
	said string // by the test that failed
	run  string // how it is seen again
}

// Guards the simulation itself: a rule that can be taken out without a sound is
// not guarded by it.
func TestWithoutAnyOfTheRulesTheSimulationTurnsRed(t *testing.T) {
	seen := make([]outcome, len(mutations))
	t.Run("without", func(t *testing.T) {
		last := 0
		for i, m := range mutations {
			first := m.rule != last
			last = m.rule
			if !first && !*all {
				continue
			}
			t.Run(strings.ReplaceAll(m.what, " ", "-"), func(t *testing.T) {
				t.Parallel()
				seen[i] = m.run(t)
			})
		}
	})
	if *all && !t.Failed() {
		checkTable(t, seen)
	}
}

// run runs the tests with the mutation, and expects them to fail.
func (m mutation) run(t *testing.T) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-vet=off", "-count=1", "-failfast", "-timeout=2m",
		"-overlay=" + m.overlay(t), "-run=" + m.test, m.tests()}, m.args()...)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	text := string(out)
	require.NotContains(t, text, "[build failed]", text)
	require.Error(t, err, "rule %d can be taken out, and nothing turns red: %s", m.rule, m.what)
	test := first(text, `--- FAIL: (\S+)`)
	require.NotEmpty(t, test, "no test failed, but the run did:\n%s", text)
	o := outcome{said: first(text, `_test\.go:\d+: (.*)`), run: first(text, `to see it again: go test (.*)`)}
	if o.run == "" { // only the simulation says how
		o = outcome{said: test, run: m.tests() + " -run " + test}
	}
	t.Logf("%s (%s)", o.said, o.run)
	return o
}

// tests is the package that has to turn red.
func (m mutation) tests() string {
	if m.file == wire {
		return "./client"
	}
	return "./internal/simulation"
}

func (m mutation) args() []string {
	if m.file == wire {
		return nil
	}
	return []string{"-args", "-sim.all"}
}

// overlay writes the mutated copy, and the file that tells the go command to
// use it.
func (m mutation) overlay(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, m.file))
	require.NoError(t, err)
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(source), m.old), "%s has changed: mend the mutation %q", m.file, m.what)
	dir := t.TempDir()
	mutated := filepath.Join(dir, "mutated.go")
	require.NoError(t, os.WriteFile(mutated, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutated}})
	require.NoError(t, err)
	name := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(name, overlay, 0o600))
	return name
}

// first returns the group of the first match.
func first(text, pattern string) string {
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return strings.TrimSpace(found[1])
}

// Guards the table against a rule without a mutation.
func TestEveryRuleOfARefreshIsTakenOut(t *testing.T) {
	taken := map[int]bool{}
	for _, m := range mutations {
		taken[m.rule] = true
	}
	for _, rule := range []int{3, 5, 6, 7, 8, 9, 10, 11, 12, 13} {
		assert.True(t, taken[rule], "rule %d", rule)
	}
}
