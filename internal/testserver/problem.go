package testserver

import "net/http"

// problemPage tells a person in a browser what their client did wrong. It is
// all that can be done where no redirect URI can be trusted.
func (s *Server) problemPage(_ *exchange, p *oauthProblem) reply {
	return textReply(http.StatusBadRequest, Refused, p.code+": "+p.description)
}

// failedPage logs what broke inside and shows nothing of it.
func (s *Server) failedPage(x *exchange, err error) reply {
	return textReply(http.StatusInternalServerError, s.failure(x, err), "server_error: internal error")
}

func textReply(status int, o Outcome, text string) reply {
	return reply{outcome: o, Answer: Answer{Status: status, Body: text + "\n", Header: http.Header{
		"Content-Type":           {"text/plain; charset=utf-8"},
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}}}
}
