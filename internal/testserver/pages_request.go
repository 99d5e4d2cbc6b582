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
	d := requestData{Base: s.path, Number: number, Curl: s.asCurl(e), Test: asTest(e), Facts: []fact{
		{"Time", e.Time.UTC().Format("2006-01-02 15:04:05.000")}, {"Took", e.Took.String()},
		{"Endpoint", orDash(string(e.Endpoint))}, {"Request", e.Method + " " + e.Path},
		{"From", e.Remote}, {"User agent", orDash(e.UserAgent)},
		{"Client", orDash(e.Client)}, {"Session", orDash(e.Session)}, {"Refresh token", orDash(e.Presented)},
		{"Status", strconv.Itoa(e.Status)}, {"Outcome", orDash(string(e.Outcome))},
		{"Faults", orDash(strings.Join(e.Faults, ", "))}, {"Arrived", yesNo(e.Delivered)},
	}}
	return s.show(r, view{name: "request", title: fmt.Sprintf("Request %d", number), width: "wide", nav: dashboardPath, data: d})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// asCurl is a request like this one. Tokens are not kept, so variables stand in
// for them.
func (s *Server) asCurl(e Exchange) string {
	words := []string{"curl", "-i"}
	switch {
	case strings.HasSuffix(e.Path, "/oauth/token") && e.Endpoint == Refresh:
		words = append(words, "-d", "grant_type=refresh_token", "-d", shellWord("client_id="+e.Client), "-d", `refresh_token="$REFRESH"`)
	case e.Endpoint == Refresh:
		words = append(words, "--json", `"{\"refreshToken\":\"$REFRESH\"}"`)
	case e.Endpoint == API, e.Endpoint == Devices:
		words = append(words, "-X", shellWord(e.Method), "-H", `"Authorization: Bearer $ACCESS"`)
	default:
		words = append(words, "-X", shellWord(e.Method))
	}
	return strings.Join(append(words, shellWord(strings.TrimSuffix(s.mint.issuer, s.path)+e.Path)), " ")
}

// shellWord quotes for a POSIX shell.
func shellWord(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// asTest is a Go test that puts a client of the reader's in the same place.
func asTest(e Exchange) string {
	lines := []string{"func TestClient(t *testing.T) {", "\tsrv := authtest.New(t)"}
	if e.Endpoint == Refresh && slices.Contains(e.Faults, string(AfterCommit)+" drop") {
		lines = append(lines, "\tsrv.Fault(authtest.Fault{On: authtest.Refresh, At: authtest.AfterCommit, Drop: true})")
	} else if len(e.Faults) > 0 {
		lines = append(lines, "\t// This request met a fault: "+strings.Join(e.Faults, ", "))
	}
	return strings.Join(append(lines,
		"\ttokens := srv.Login(\"alice\", \"laptop\")",
		"\t_ = tokens // hand them to your client, and let it work at srv.URL()",
		"\tif bad := srv.Violations(); len(bad) > 0 {",
		"\t\tt.Errorf(\"broken rules: %v\", bad)",
		"\t}",
		"}"), "\n")
}
