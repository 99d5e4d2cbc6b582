package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// fleet is the worker processes.
type fleet struct {
	workers []*process
	died    chan struct{} // closed when a worker ends unasked
	once    sync.Once
}

// process is one worker. Its standard input says what to do, and when to stop:
// at its end. So the workers end with their parent, whatever becomes of it.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{}

	mu     sync.Mutex // guards latest and err; never held across I/O
	latest counts
	err    error
}

func startFleet(n int, j job) (*fleet, error) {
	f := &fleet{died: make(chan struct{})}
	for range n {
		p, err := startWorker(j)
		if err != nil {
			_, stopErr := f.stop()
			return nil, errors.Join(err, stopErr)
		}
		f.workers = append(f.workers, p)
		go func() {
			<-p.done
			f.once.Do(func() { close(f.died) })
		}()
	}
	return f, nil
}

func startWorker(j job) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), workerVar+"=1")
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.listen(stdout)
	if err := json.NewEncoder(p.stdin).Encode(j); err != nil {
		return nil, fmt.Errorf("demo: a worker could not be told its job: %w", err)
	}
	return p, nil
}

// listen reads the counts that the worker prints, until it ends.
func (p *process) listen(stdout io.Reader) {
	defer close(p.done)
	lines := json.NewDecoder(stdout)
	for {
		var c counts
		if err := lines.Decode(&c); err != nil {
			break
		}
		p.mu.Lock()
		p.latest = c
		p.mu.Unlock()
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
}

func (p *process) result() (counts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest, p.err
}

// total adds up what the workers last said.
func (f *fleet) total() counts {
	var sum counts
	for _, p := range f.workers {
		c, _ := p.result()
		sum.add(c)
	}
	return sum
}

// stopTime is what a worker has to finish its requests and a refresh.
const stopTime = 45 * time.Second

// stop lets the workers finish and returns what they did.
func (f *fleet) stop() (counts, error) {
	for _, p := range f.workers {
		_ = p.stdin.Close()
	}
	timeout := time.NewTimer(stopTime)
	defer timeout.Stop()
	var errs []error
	for _, p := range f.workers {
		select {
		case <-p.done:
			if _, err := p.result(); err != nil {
				errs = append(errs, fmt.Errorf("demo: a worker failed: %w", err))
			}
		case <-timeout.C:
			_ = p.cmd.Process.Kill()
			errs = append(errs, errors.New("demo: a worker did not stop"))
		}
	}
	return f.total(), errors.Join(errs...)
}
