package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/tokensource/keyringstore"
)

// mainVar makes the test binary the demo itself.
const mainVar = "PAWL_DEMO_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(workerVar) != "" || os.Getenv(mainVar) != "" {
		main()
	}
	os.Exit(m.Run())
}

// outcome is the line of JSON that the demo prints last.
func outcome(t *testing.T, output string) (o struct {
	Requests        int `json:"requests"`
	APIUnauthorized int `json:"api_401"`
	Unauthorized    int `json:"program_401"`
	Errors          int `json:"errors"`
	Rotations       int `json:"rotations"`
	MaxRedemptions  int `json:"max_redemptions"`
	FamiliesRevoked int `json:"families_revoked"`
	Store           string
}) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &o), output)
	return o
}

// The main job, with real processes over the real store of this machine.
func TestTheSessionSurvives(t *testing.T) {
	var out, errs bytes.Buffer
	status := run(t.Context(), []string{"-json"}, &out, &errs)
	t.Log(out.String())
	require.Equal(t, survived, status, errs.String())
	o := outcome(t, out.String())
	assert.Positive(t, o.APIUnauthorized)
	assert.Zero(t, o.Unauthorized)
	assert.Zero(t, o.Errors)
	assert.GreaterOrEqual(t, o.Rotations, minRotations)
	assert.Equal(t, 1, o.MaxRedemptions)
	assert.Zero(t, o.FamiliesRevoked)
	if keyringstore.Probe(context.Background()) == nil {
		assert.Equal(t, "keyring", o.Store)
	} else {
		assert.Equal(t, "sealed", o.Store)
	}
}

// The same load without pawl, which is why pawl exists.
func TestWithoutPawlTheServerEndsTheSession(t *testing.T) {
	var out, errs bytes.Buffer
	require.Equal(t, survived, run(t.Context(), []string{"-naive", "-json", "-duration", "4s"}, &out, &errs), errs.String())
	o := outcome(t, out.String())
	assert.Greater(t, o.MaxRedemptions, 1)
	assert.Equal(t, 1, o.FamiliesRevoked)
	assert.Positive(t, o.Unauthorized+o.Errors)
}

// An interrupt goes to the whole process group, as from a terminal.
func TestAnInterruptLosesNothing(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-json", "-duration", "1m")
	cmd.Env = append(os.Environ(), mainVar+"=1")
	ownGroup(cmd)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	start := time.Now()
	var out strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), " 3 rotations") {
			require.NoError(t, interruptGroup(cmd))
		}
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit, out.String())
	assert.Equal(t, interrupted, exit.ExitCode(), out.String())
	assert.Less(t, time.Since(start), 50*time.Second)
	o := outcome(t, out.String())
	assert.Equal(t, 1, o.MaxRedemptions)
	assert.Zero(t, o.FamiliesRevoked)
	assert.Zero(t, o.Errors, out.String())
}

func TestTheVerdictNamesEveryFailure(t *testing.T) {
	good := report{APIUnauthorized: 1, Rotations: 4, MaxRedemptions: 1, Alive: true}
	assert.Empty(t, good.failures())
	for name, spoil := range map[string]func(*report){
		"no 401":         func(r *report) { r.APIUnauthorized = 0 },
		"rotations":      func(r *report) { r.Rotations = 3 },
		"saw 401s":       func(r *report) { r.Unauthorized = 1 },
		"failed: boom":   func(r *report) { r.Errors, r.FirstError = 1, "boom" },
		"more than once": func(r *report) { r.MaxRedemptions = 2 },
		"ended":          func(r *report) { r.FamiliesRevoked = 1 },
		"does not work":  func(r *report) { r.Alive = false },
	} {
		bad := good
		spoil(&bad)
		if assert.Len(t, bad.failures(), 1, name) {
			assert.Contains(t, bad.failures()[0], name)
		}
		assert.Equal(t, failed, bad.verdict(&bytes.Buffer{}))
	}
}

func TestAQuantileIsRoundedUpToItsBucket(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]float64{0.5: 500, 0.99: 990, 1: 1000} {
		got := float64(h.quantile(q)) / float64(time.Millisecond)
		assert.GreaterOrEqual(t, got, want)
		assert.LessOrEqual(t, got, want*bucketRatio)
	}
	assert.Zero(t, histogram(nil).quantile(0.5))
}

func TestWrongFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{{"-workers", "0"}, {"-duration", "1ms"}, {"extra"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		assert.Equal(t, unable, run(t.Context(), args, &out, &errs))
		assert.NotEmpty(t, errs.String())
		assert.Empty(t, out.String())
	}
}
