package main

import (
	"io"
	"math"
	"net/http"
	"sync"
	"time"
)

// counts is what the processes did, as they tell it.
type counts struct {
	Requests     int
	Unauthorized int // 401s that reached the program
	Errors       int // all else that was not a 200
	FirstError   string
	Latency      histogram
}

func (c *counts) add(other counts) {
	c.Requests += other.Requests
	c.Unauthorized += other.Unauthorized
	c.Errors += other.Errors
	if c.FirstError == "" {
		c.FirstError = other.FirstError
	}
	c.Latency.merge(other.Latency)
}

// tally counts in many goroutines.
type tally struct {
	mu sync.Mutex // guards counts; never held across I/O
	counts
}

// request makes one request and counts what the program sees of it.
func (t *tally) request(api *http.Client, url string) {
	start := time.Now()
	resp, err := api.Get(url)
	status := 0
	if err == nil {
		status = resp.StatusCode
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	took := time.Since(start)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.Requests++
	t.Latency.add(took)
	switch {
	case status == http.StatusUnauthorized:
		t.Unauthorized++
	case err != nil:
		t.fail(err.Error())
	case status != http.StatusOK:
		t.fail(resp.Status)
	}
}

func (t *tally) fail(what string) {
	t.Errors++
	if t.FirstError == "" {
		t.FirstError = what
	}
}

func (t *tally) read() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	var c counts
	c.add(t.counts)
	return c
}

// histogram counts latencies in buckets that are 2 % wide, so that those of
// several processes can be added up.
type histogram map[int]int

// bucketRatio is the upper bound of a bucket over its lower one.
const bucketRatio = 1.02

func (h *histogram) add(d time.Duration) {
	if *h == nil {
		*h = histogram{}
	}
	micros := max(float64(d)/float64(time.Microsecond), 1)
	(*h)[int(math.Ceil(math.Log(micros)/math.Log(bucketRatio)))]++
}

func (h *histogram) merge(other histogram) {
	if *h == nil {
		*h = histogram{}
	}
	for bucket, n := range other {
		(*h)[bucket] += n
	}
}

// quantile returns the latency, rounded up to its bucket, that the fraction q
// of the requests did not exceed.
func (h histogram) quantile(q float64) time.Duration {
	total, last := 0, 0
	for bucket, n := range h {
		total += n
		last = max(last, bucket)
	}
	if total == 0 {
		return 0
	}
	need := int(math.Ceil(q * float64(total)))
	for bucket, seen := 0, 0; bucket <= last; bucket++ {
		if seen += h[bucket]; seen >= need {
			return time.Duration(math.Pow(bucketRatio, float64(bucket)) * float64(time.Microsecond))
		}
	}
	return 0
}
