package acceptance_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// update writes what the run has shown.
var update = flag.Bool("update", false, "write docs/acceptance.md instead of comparing it")

const document = "../../docs/acceptance.md"

// book keeps what the cells came to.
type book struct {
	mu    sync.Mutex // guards cells
	cells map[string]entry
}

// entry is one cell of the document.
type entry struct {
	outcome outcome
	counted string // by the server
}

func (b *book) enter(c cell, o observation, want expectation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cells[c.key()] = entry{o.outcome(want), fmt.Sprintf("%d+%d %d %d %d", o.asked[0], o.asked[1], o.most, o.live, o.stats.FamiliesRevoked)}
}

func (c cell) key() string {
	return fmt.Sprintf("%s %d %s %s", c.layout.transport, c.layout.processes, c.kind.name, c.fault.name)
}

// table is one table of the document.
type table struct {
	heading string
	layout  layout
	kinds   []kind
	below   string
	cell    func(entry) string
}

func word(e entry) string    { return words()[e.outcome] }
func counted(e entry) string { return e.counted }

// words are the outcomes as a table has room for them.
func words() map[outcome]string {
	return map[outcome]string{ok: "ok", okAfterRetry: "retry", loginRequired: "login", impossible: "–"}
}

func tables() []table {
	list := []table{{
		heading: "In memory, one process", layout: layout{pipe, 1}, kinds: kinds(), cell: word,
		below: "On fake time, with the graces that the servers really have.",
	}, {
		heading: "HTTP/1.1, one process", layout: layout{http1, 1}, kinds: kinds(), cell: word,
		below: "Plain HTTP over loopback, to the API and to the token endpoint.",
	}, {
		heading: "HTTP/2, one process", layout: layout{http2, 1}, kinds: kinds(), cell: word,
		below: "TLS over loopback. The API speaks HTTP/2; token requests ask the same listener for HTTP/1.1.",
	}}
	for _, transport := range []string{http1, http2} {
		list = append(list, table{
			heading: transport + ", four processes, one keyring", layout: layout{transport, processes}, kinds: representing(), cell: word,
			below: "One profile for each thing that a server can do with a refresh token that comes back.",
		})
	}
	return append(list, table{
		heading: "What the server counted", layout: layout{pipe, 1}, kinds: kinds(), cell: counted,
		below: "In the cells in memory. A cell has four figures: token requests in the first wave + in the second; the most that any one " +
			"refresh token was presented; refresh tokens of the family that the server would still take at the end; families " +
			"that it ended because of reuse. In every cell the test also holds that no client broke a rule of " +
			"`Server.Violations`, that the API let through as many requests as the program saw answered, and that nobody " +
			"asked again after a login was required.",
	})
}

func representing() (list []kind) {
	for _, name := range representatives() {
		list = append(list, kindNamed(name))
	}
	return list
}

// render writes a table; whole says whether all of its cells were run.
func (b *book) render(t table) (text string, whole bool) {
	var s strings.Builder
	fmt.Fprintf(&s, "## %s\n\n%s\n\n| profile |", t.heading, t.below)
	for _, f := range faults() {
		fmt.Fprintf(&s, " %s |", f.name)
	}
	s.WriteString("\n|---|" + strings.Repeat("---|", len(faults())) + "\n")
	for _, k := range t.kinds {
		fmt.Fprintf(&s, "| %s |", k.name)
		for _, f := range faults() {
			text := "–"
			if noSuchCell(f, t.layout) == "" {
				e, run := b.cells[cell{k, f, t.layout}.key()]
				if !run {
					return "", false
				}
				text = t.cell(e)
			}
			fmt.Fprintf(&s, " %s |", text)
		}
		s.WriteString("\n")
	}
	return s.String() + "\n", true
}

// compare holds the document against the run. A table that was not run as a
// whole, for want of a keyring or because of a -run, stays as it is.
func (b *book) compare(t *testing.T) {
	data, err := os.ReadFile(document)
	if !*update {
		require.NoError(t, err)
	}
	old := sections(string(data))
	text := preamble()
	for _, table := range tables() {
		section, whole := b.render(table)
		if !whole {
			section = old[table.heading]
		}
		text += section
	}
	text = strings.TrimRight(text, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(text), 0o644))
		return
	}
	assert.Equal(t, text, string(data), "docs/acceptance.md is stale: run the test with -args -update, under scripts/secret-service.sh")
}

// sections cuts the document at its headings.
func sections(text string) map[string]string {
	all := map[string]string{}
	heading := regexp.MustCompile(`(?m)^## `)
	starts := append(heading.FindAllStringIndex(text, -1), []int{len(text), len(text)})
	for i, start := range starts[:len(starts)-1] {
		section := text[start[0]:starts[i+1][0]]
		title, _, _ := strings.Cut(strings.TrimPrefix(section, "## "), "\n")
		all[title] = section
	}
	return all
}

// preamble is what stands before the tables.
func preamble() string {
	var s strings.Builder
	run, none := cellCounts()
	fmt.Fprintf(&s, introduction, run, none)
	s.WriteString("## Legend\n\n| outcome | meaning |\n|---|---|\n")
	for _, row := range [][2]string{
		{string(ok), "every request of the program was answered, at one token request per renewal"},
		{string(okAfterRetry), "the session lives, and it took more than one token request: the client asked again by itself, or the program when it was told to"},
		{string(loginRequired), "from one moment on every request says so, the session reports its end once in each process, nobody asks the server again, and a login cures it"},
		{string(impossible), "there is no such cell: a pipe in memory does not lead to another process, and a client in the server's own process cannot be killed without it"},
	} {
		fmt.Fprintf(&s, "| `%s` | **%s**: %s |\n", words()[outcome(row[0])], row[0], row[1])
	}
	s.WriteString("\n| fault | meaning |\n|---|---|\n")
	for _, f := range faults() {
		fmt.Fprintf(&s, "| %s | %s |\n", f.name, f.means)
	}
	s.WriteString("\n| profile | a refresh token that comes back |\n|---|---|\n")
	for _, k := range kinds() {
		fmt.Fprintf(&s, "| %s | %s |\n", k.name, k.behaviour())
	}
	return s.String() + "\n"
}

// behaviour says in a few words what the expectations follow from.
func (k kind) behaviour() string {
	after := "ends nothing"
	if k.ends {
		after = "ends the session"
	}
	does := map[mode]string{
		same: "is told the same successor", fork: "gets a sibling", replace: "gets another successor in place of the first",
		accessOnly: "gets an access token alone",
	}[k.mode]
	switch {
	case k.mode == held:
		return "is as good as ever: there is no rotation"
	case does == "":
		return "is refused, which " + after
	case k.answers == always && k.seen:
		return does + ", until the access token of that was used; then it is refused, which " + after
	case k.answers == always && k.ends:
		return does + ", until that was used; then it is refused, which " + after
	case k.answers == always:
		return does + ", at any time"
	}
	return fmt.Sprintf("%s for %s; then it is refused, which %s", does, plain(k.answers), after)
}

// cellCounts says how many cells are run and how many cannot be.
func cellCounts() (run, none int) {
	add := func(l layout, kinds int) {
		for _, f := range faults() {
			if noSuchCell(f, l) == "" {
				run += kinds
			} else {
				none += kinds
			}
		}
	}
	for _, transport := range []string{pipe, http1, http2} {
		add(layout{transport, 1}, len(authtest.Profiles()))
		add(layout{transport, processes}, len(representatives()))
	}
	return run, none
}
