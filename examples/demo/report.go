package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// report is the outcome: what the processes saw, and what the server counted.
type report struct {
	counts
	APIUnauthorized int
	Rotations       int
	MaxRedemptions  int
	FamiliesRevoked int
	Alive           bool // the session still works at the end
	Store           string
	naive           bool
	interrupted     bool
}

// minRotations: fewer in a run of the usual length would mean that hardly
// anything was put to the test.
const minRotations = 4

// failures lists what speaks against the session's having survived.
func (r report) failures() []string {
	var f []string
	check := func(bad bool, what string) {
		if bad {
			f = append(f, what)
		}
	}
	check(!r.interrupted && r.APIUnauthorized == 0, "the API answered no 401: nothing was put to the test")
	check(!r.interrupted && r.Rotations < minRotations, "fewer than 4 rotations: nothing was put to the test")
	check(r.Unauthorized > 0, "the program saw 401s")
	check(r.Errors > 0, "requests failed: "+r.FirstError)
	check(r.MaxRedemptions > 1, "a refresh token was presented more than once")
	check(r.FamiliesRevoked > 0, "the server ended the session")
	check(!r.Alive, "the session does not work any more")
	return f
}

// print shows the report and returns the exit status.
func (r report) print(w io.Writer, o options) int {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(table, "  %s\t%v\n", name, value) }
	fmt.Fprintln(w)
	row("requests", r.Requests)
	row("401s the API answered", r.APIUnauthorized)
	row("401s the program saw", r.Unauthorized)
	row("other failures", r.Errors)
	row("rotations", r.Rotations)
	row("most redemptions of any one refresh token", r.MaxRedemptions)
	row("families revoked", r.FamiliesRevoked)
	row("latency p50 / p99 / max", fmt.Sprintf("%.1f / %.1f / %.1f ms", r.ms(0.5), r.ms(0.99), r.ms(1)))
	_ = table.Flush()
	status := r.verdict(w)
	if o.json {
		r.printJSON(w)
	}
	return status
}

func (r report) verdict(w io.Writer) int {
	if r.naive {
		fmt.Fprintln(w, "\nwithout pawl:", r.naiveVerdict())
		return survived
	}
	if failures := r.failures(); len(failures) > 0 {
		fmt.Fprintln(w, "\nFAILED:", strings.Join(failures, "; "))
		return failed
	}
	if r.interrupted {
		fmt.Fprintln(w, "\ninterrupted; nothing is lost, the session still works")
		return interrupted
	}
	fmt.Fprintln(w, "\nthe session survived")
	return survived
}

// naiveVerdict says in words what the numbers mean.
func (r report) naiveVerdict() string {
	if r.FamiliesRevoked == 0 {
		return "the session survived this time"
	}
	text := fmt.Sprintf("a refresh token was presented %d times, the server took it for theft and ended the session; %d of %d requests failed", r.MaxRedemptions, r.Unauthorized+r.Errors, r.Requests)
	if r.FirstError != "" {
		text += ", the first with: " + strings.Join(strings.Fields(r.FirstError), " ")
	}
	return text
}

// ms is a quantile of the latency in milliseconds.
func (r report) ms(q float64) float64 {
	return float64(r.Latency.quantile(q).Round(time.Microsecond)) / float64(time.Millisecond)
}

func (r report) printJSON(w io.Writer) {
	_ = json.NewEncoder(w).Encode(struct {
		Requests        int     `json:"requests"`
		APIUnauthorized int     `json:"api_401"`
		Unauthorized    int     `json:"program_401"`
		Errors          int     `json:"errors"`
		Rotations       int     `json:"rotations"`
		MaxRedemptions  int     `json:"max_redemptions"`
		FamiliesRevoked int     `json:"families_revoked"`
		P50             float64 `json:"p50_ms"`
		P99             float64 `json:"p99_ms"`
		Max             float64 `json:"max_ms"`
		Store           string  `json:"store"`
	}{
		r.Requests, r.APIUnauthorized, r.Unauthorized, r.Errors, r.Rotations,
		r.MaxRedemptions, r.FamiliesRevoked, r.ms(0.5), r.ms(0.99), r.ms(1), r.Store,
	})
}

// screen shows the progress: on a terminal in one line that changes, elsewhere
// as a line a second.
type screen struct {
	w        io.Writer
	terminal bool
	every    time.Duration
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, every: time.Second}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			s.terminal, s.every = true, 100*time.Millisecond
		}
	}
	return s
}

func (s *screen) progress(elapsed time.Duration, c counts, stats authtest.Stats) {
	text := fmt.Sprintf("%4.1fs  %d requests, %d rotations, 401s: %d answered, %d seen, other failures: %d",
		elapsed.Seconds(), c.Requests, stats.Rotations, stats.APIUnauthorized, c.Unauthorized, c.Errors)
	if s.terminal {
		fmt.Fprint(s.w, "\r\x1b[K"+text)
		return
	}
	fmt.Fprintln(s.w, text)
}

func (s *screen) line(text string) {
	if s.terminal {
		text = "\r\x1b[K" + text
	}
	fmt.Fprintln(s.w, text)
}
