package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// jobVar tells a process that it was started for a job.
const jobVar = "PAWL_STORETEST_JOB"

// marker starts the lines that a process says; the testing package, the test
// and the store may write to the same output.
const marker = "storetest: "

// job is what a process is started for.
type job struct {
	Test    string // the test that calls Run
	Deed    string
	Dir     string
	Profile string
	Scratch string // a directory that is not the store's
	Times   int
}

// doDeed returns at once in a process that runs tests. In one that was started
// for a job it does that and ends the test.
func doDeed(t *testing.T, c Config) {
	text := os.Getenv(jobVar)
	if text == "" {
		return
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil || j.Test != t.Name() || deeds[j.Deed] == nil {
		t.Fatalf("storetest: this process is for %s of %s and has come to %s (%v)", j.Deed, j.Test, t.Name(), err)
	}
	s := &subject{T: t, config: c, dir: j.Dir, profile: j.Profile, key: keyOf(j.Profile)}
	s.store = s.open()
	in := bufio.NewReader(os.Stdin)
	say("ready")
	if _, err := in.ReadString('\n'); err != nil {
		t.SkipNow() // there was no more to do
	}
	// The parent's end of the pipe is the signal to stop, so that no process
	// outlives it.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	if err := deeds[j.Deed](ctx, s, j); err != nil {
		t.Fatalf("storetest: %s: %v", j.Deed, err)
	}
	t.SkipNow() // what follows in the test is for the first process
}

func say(what any) { fmt.Printf("%s%v\n", marker, what) }

// child is a process that does a deed.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  chan string // lines after "ready"; closed when there are no more
	ready chan struct{}
	end   error // what the process ended with, once said is closed
	// killed: kill was called, so how the process ended is no matter.
	killed atomic.Bool
}

// start starts a process for a deed, which waits for begin.
func (s *subject) start(deed string, j job) *child {
	s.Helper()
	self, err := os.Executable()
	if err != nil {
		s.Fatalf("storetest: looking for the test binary: %v", err)
	}
	j.Test, j.Deed, j.Dir, j.Profile = s.caller(), deed, s.dir, s.profile
	text, err := json.Marshal(j)
	if err != nil {
		s.Fatalf("storetest: %v", err)
	}
	c := &child{t: s.T, said: make(chan string, 64), ready: make(chan struct{})}
	c.cmd = exec.Command(self, "-test.run="+exactly(j.Test), "-test.count=1", "-test.timeout=10m")
	c.cmd.Env = append(os.Environ(), jobVar+"="+string(text))
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.stdin, err = c.cmd.StdinPipe()
	}
	c.cmd.Stderr = s.Output()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		s.Fatalf("storetest: starting a process: %v", err)
	}
	go c.listen(out)
	s.Cleanup(c.kill)
	return c
}

// caller is the test that called Run: clauses are two levels below it.
func (s *subject) caller() string {
	parts := strings.Split(s.Name(), "/")
	return strings.Join(parts[:len(parts)-2], "/")
}

// exactly returns the pattern that selects one test, subtest by subtest.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// listen collects what the process says. What is not marked is kept, in case
// the process fails; the half line of a killed one is dropped.
func (c *child) listen(out io.Reader) {
	var other strings.Builder
	ready := false
	for in := bufio.NewReader(out); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		what, marked := strings.CutPrefix(strings.TrimSuffix(line, "\n"), marker)
		switch {
		case marked && !ready:
			ready = true
			close(c.ready)
		case marked:
			c.said <- what
		case other.Len() < 8<<10:
			other.WriteString(line)
		}
	}
	err := c.cmd.Wait()
	switch {
	case err != nil:
		c.end = fmt.Errorf("%w\n%s", err, other.String())
	case !ready:
		c.end = errors.New("the process never came to storetest.Run: the test that calls it must do so in every process, and once")
	}
	if !ready {
		close(c.ready)
	}
	close(c.said)
}

// begin lets the process do its deed. A process that failed shows in what it
// ends with.
func (c *child) begin() {
	<-c.ready
	_, _ = io.WriteString(c.stdin, "go\n")
}

// finish waits until the process has ended, and fails the test if it failed.
func (c *child) finish() {
	c.t.Helper()
	for range c.said {
	}
	if c.end != nil {
		c.t.Errorf("a process failed: %v", c.end)
	}
}

// kill ends the process on the spot, if it has not ended.
func (c *child) kill() {
	c.killed.Store(true)
	_ = c.cmd.Process.Kill()
	for range c.said {
	}
	_ = c.stdin.Close()
}
