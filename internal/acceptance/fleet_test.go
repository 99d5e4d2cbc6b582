package acceptance_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// processes is how many share a session in the cells with several.
const processes = 4

// member is a running process. It plays in many cells, with a program in each.
type member struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	over  chan struct{} // closed when it has ended

	mu      sync.Mutex // guards what follows
	out     *json.Encoder
	last    int
	pending map[int]chan report
}

// errGone: the process ended before it answered.
var errGone = errors.New("the process is gone")

func startMember(t *testing.T) *member {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	m := &member{cmd: exec.Command(self), over: make(chan struct{}), pending: map[int]chan report{}}
	m.cmd.Env = append(os.Environ(), memberVar+"=1")
	m.cmd.Stderr = os.Stderr // of the run: the member outlives most tests
	m.stdin, err = m.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, m.cmd.Start())
	m.out = json.NewEncoder(m.stdin)
	go m.listen(stdout)
	return m
}

// listen hands the reports to those who wait for them.
func (m *member) listen(stdout io.Reader) {
	defer close(m.over)
	for in := json.NewDecoder(stdout); ; {
		var r report
		if err := in.Decode(&r); err != nil {
			_ = m.cmd.Wait() // a killed process is one, too
			return
		}
		m.mu.Lock()
		waiting := m.pending[r.ID]
		delete(m.pending, r.ID)
		m.mu.Unlock()
		waiting <- r
	}
}

// stop ends the process.
func (m *member) stop() {
	_ = m.stdin.Close()
	<-m.over
}

func (m *member) do(o order) (result, error) {
	answer := make(chan report, 1)
	m.mu.Lock()
	m.last++
	o.ID = m.last
	m.pending[o.ID] = answer
	err := m.out.Encode(o)
	m.mu.Unlock()
	if err != nil {
		return result{}, err
	}
	select {
	case r := <-answer:
		if r.Err != "" {
			return r.Result, errors.New(r.Err)
		}
		return r.Result, nil
	case <-m.over:
		return result{}, errGone
	}
}

// guest is a member's program in one cell.
type guest struct {
	*member
	cell place
}

func (g guest) adopt(access, refresh string, age, life time.Duration) error {
	_, err := g.do(order{Do: "adopt", Cell: g.cell, Access: access, Refresh: refresh, Age: age, Life: life})
	return err
}

func (g guest) login() error {
	_, err := g.do(order{Do: "login", Cell: g.cell})
	return err
}

func (g guest) wave(n int) result {
	res, err := g.do(order{Do: "wave", Cell: g.cell, Requests: n})
	if err != nil {
		return result{Other: n, What: err.Error()}
	}
	return res
}

func (g guest) close() error {
	_, err := g.do(order{Do: "close", Cell: g.cell})
	return err
}

// placeOf is where the programs of a cell in other processes meet.
func (w *world) placeOf(c cell) place {
	p := place{URL: w.srv.URL(), Kind: c.kind.name, Dir: w.t.TempDir(), Account: rand.Text(), Grace: c.grace()}
	if certificate := w.srv.Certificate(); certificate != nil {
		p.Certificate = certificate.Raw
	}
	return p
}

// byProcesses runs a cell whose programs are in processes of their own.
func byProcesses(t *testing.T, c cell, members []*member) observation {
	w := newWorld(t, c)
	where := w.placeOf(c)
	for _, m := range members {
		w.parties = append(w.parties, guest{m, where})
	}
	if c.fault.kills {
		return w.run(c, func() result { return w.waveWithAKill(where) })
	}
	return w.run(c, w.wave)
}

// waveWithAKill: one process begins a refresh and is killed as it is to save
// what it got, while all but one of the others wait for their token. The last
// is the killed program as it is started again.
func (w *world) waveWithAKill(where place) result {
	w.srv.HolderKilled(w.session, w.srv.Now())
	refresh := w.srv.Gate(authtest.Refresh, authtest.BeforeCommit)
	where.Doomed = true
	doomed := guest{startMember(w.t), where}
	killed := make(chan result, 1)
	go func() { killed <- doomed.wave(requests / processes) }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(w.t, refresh.Wait(ctx, 1))

	others := make(chan result, 1)
	go func() { others <- wave(w.parties[:processes-1], requests/processes) }()
	refresh.ReleaseAll()
	assert.Equal(w.t, errGone.Error(), (<-killed).What)
	again := w.parties[processes-1].wave(requests / processes)
	return again.plus(<-others)
}
