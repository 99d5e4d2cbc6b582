package testserver

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type requestData struct {
	Base       string
	Number     int
	Facts      []fact
	Curl, Test string
}

// request is the page of one exchange: what is known of it, and how to send
// one like it.
func (s *Server) request(_ http.ResponseWriter, r *http.Request) reply {
	number, err := strconv.Atoi(r.PathValue("number"))
	all := s.Exchanges(AnyEndpoint)
	i := slices.IndexFunc(all, func(e Exchange) bool { return e.Number == number })
	if err != nil || i < 0 {
		return s.errorPage(r, http.StatusNotFound, "not_found", "There is no such request, or no longer.")
	}
	e := all[i]
	d := requestData{Base: s.path, Number: number, Curl: s.asCurl(e), Test: s.asTest(e), Facts: []fact{
		{"Time", e.Time.UTC().Format("2006-01-02 15:04:05.000")}, {"Took", e.Took.String()},
		{"Endpoint", orDash(string(e.Endpoint))}, {"Request", e.Method + " " + e.Path},
		{"From", e.Remote}, {"User agent", orDash(e.UserAgent)},
		{"Client", orDash(e.Client)}, {"Session", orDash(e.Session)}, {"Refresh token", orDash(e.Presented)},
		{"Status", strconv.Itoa(e.Status)}, {"Outcome", orDash(string(e.Outcome))},
		{"Faults", orDash(strings.Join(e.Faults, ", "))}, {"Arrived", yesNo(e.Delivered)},
	}}
	return s.show(r, view{
		name: "request", title: fmt.Sprintf("Request %d", number), width: "wide", nav: dashboardPath,
		live: fmt.Sprintf("%s%s%d", s.path, requestPath, number), data: d,
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
