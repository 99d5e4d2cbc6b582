package testserver

import (
	"crypto/rand"
	"net/http"
)

type errorData struct {
	Heading, Text, Code, ID string
	Status                  int
}

// errorPage tells a person what went wrong, under an id that the log has, too.
func (s *Server) errorPage(r *http.Request, status int, code, text string) reply {
	id := rand.Text()[:12]
	s.log.WarnContext(r.Context(), "error page", "correlation", id, "route", r.Pattern,
		"status", status, "code", code)
	return s.show(r, view{
		name: "error", status: status, outcome: Refused, title: "Error",
		data: errorData{Heading: "That did not work", Text: text, Code: code, Status: status, ID: id},
	})
}

// brokenPage is what a person sees of a failure inside: nothing but the id.
func (s *Server) brokenPage(r *http.Request, err error) reply {
	s.log.ErrorContext(r.Context(), "failure", "route", r.Pattern, "error", err)
	rep := s.errorPage(r, http.StatusInternalServerError, "server_error", "Something broke inside the server.")
	rep.outcome = Failed
	return rep
}

// problemPage tells a person in a browser what their client did wrong. It is
// all that can be done where no redirect URI can be trusted.
func (s *Server) problemPage(x *exchange, p *oauthProblem) reply {
	return s.errorPage(x.r, http.StatusBadRequest, p.code, p.description)
}

func (s *Server) failedPage(x *exchange, err error) reply { return s.brokenPage(x.r, err) }

// messageData is a page that says one thing.
type messageData struct {
	Heading, Text string
	Kind          string // of the note: good, warn or bad
	Form          *messageForm
	Links         []link
}

type messageForm struct {
	Action string
	Hidden []field
	Name   string // of the button
	Value  string
}

type link struct{ Name, URL string }

// field is one that a form carries unseen.
type field struct{ Name, Value string }
