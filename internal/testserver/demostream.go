package testserver

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// flow is the plan of an answer that takes its time.
type flow struct {
	parts, expireAt int
	every           time.Duration
}

func readFlow(x *exchange, what string) (flow, bool) {
	query := x.r.URL.Query()
	parts, okParts := number(query, what, 5, 10_000)
	every, okEvery := period(query, "every", 100*time.Millisecond)
	at, okAt := number(query, "expire_at", 0, 10_000)
	return flow{parts, at, every}, okParts && okEvery && okAt
}

// apiStream sends chunks=5 lines, one every=100ms. At line expire_at the access
// token dies, and the stream goes on: what was let in is neither cut off nor to
// be sent again.
func (s *Server) apiStream(x *exchange, c claims) reply {
	plan, ok := readFlow(x, "chunks")
	if !ok {
		return jsonError(Malformed)
	}
	rep := emptyReply(http.StatusOK, Done)
	rep.Header.Set("Content-Type", "text/plain; charset=utf-8")
	rep.stream = func(x *exchange) error {
		for i := 1; i <= plan.parts; i++ {
			if i == plan.expireAt {
				if err := s.revokeAccess(x.ctx(), c); err != nil {
					return err
				}
			}
			if err := s.part(x, plan, fmt.Sprintf("chunk %d of %d\n", i, plan.parts)); err != nil {
				return err
			}
		}
		return nil
	}
	return rep
}

// apiEvents sends server-sent events with ids, from the one after Last-Event-ID
// on. At event expire_at the access token dies, and with it the stream: the
// client signs on again, and goes on where it was.
func (s *Server) apiEvents(x *exchange, c claims) reply {
	plan, ok := readFlow(x, "events")
	last := 0
	if text := strings.TrimSpace(x.r.Header.Get("Last-Event-ID")); text != "" {
		n, err := strconv.Atoi(text)
		last, ok = n, ok && err == nil && n >= 0
	}
	if !ok {
		return jsonError(Malformed)
	}
	rep := emptyReply(http.StatusOK, Done)
	rep.Header.Set("Content-Type", "text/event-stream")
	rep.stream = func(x *exchange) error {
		for i := last + 1; i <= plan.parts && s.good(x, c); i++ {
			if err := s.part(x, plan, fmt.Sprintf("id: %d\ndata: event %d\n\n", i, i)); err != nil {
				return err
			}
			if i == plan.expireAt {
				return s.revokeAccess(x.ctx(), c)
			}
		}
		return nil
	}
	return rep
}

// part writes a part and waits until the next is due.
func (s *Server) part(x *exchange, plan flow, text string) error {
	if _, err := x.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := flush(x.w); err != nil {
		return err
	}
	s.pause(x.r.Context(), plan.every)
	return x.r.Context().Err()
}
