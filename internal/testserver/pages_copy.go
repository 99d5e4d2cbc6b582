package testserver

import (
	"fmt"
	"strings"
)

// asCurl is a request like this one. Nothing of it is kept that is secret, so
// variables stand in for that.
func (s *Server) asCurl(e Exchange) string {
	words := append([]string{"curl", "-i"}, curlWords(e)...)
	return strings.Join(append(words, shellWord(s.mint.issuer+e.Path)), " ")
}

func curlWords(e Exchange) []string {
	form := func(members ...string) (words []string) {
		for _, m := range append(members, shellWord("client_id="+e.Client)) {
			words = append(words, "-d", m)
		}
		return words
	}
	jar := []string{}
	if strings.HasPrefix(e.Path, "/session/") {
		jar = append(jar, "-b", "jar", "-c", "jar")
	}
	oauth := strings.Contains(e.Path, "token") && e.Path != "/refresh-token" || strings.Contains(e.Path, "/oauth/")
	switch {
	case e.Endpoint == Refresh && oauth:
		return form("grant_type=refresh_token", `refresh_token="$REFRESH"`)
	case e.Endpoint == Refresh && len(jar) == 0:
		return []string{"--json", `"{\"refreshToken\":\"$REFRESH\"}"`}
	case e.Endpoint == Authenticate && oauth:
		return form("grant_type=password", `username="$NAME"`, `password="$PASSWORD"`)
	case e.Endpoint == Authenticate:
		return append(jar, "--json", `"{\"username\":\"$NAME\",\"password\":\"$PASSWORD\"}"`)
	case e.Endpoint == ClientCredentials:
		return []string{"-u", shellWord(e.Client) + `:"$SECRET"`, "-d", "grant_type=client_credentials"}
	case e.Endpoint == RedeemCode:
		return form("grant_type=authorization_code", `code="$CODE"`, `code_verifier="$VERIFIER"`, `redirect_uri="$REDIRECT"`)
	case e.Endpoint == PollDevice:
		return form("grant_type="+deviceGrantType, `device_code="$DEVICE"`)
	case e.Endpoint == DeviceAuthorize:
		return form()
	case e.Endpoint == Revoke && oauth:
		return form(`token="$REFRESH"`)
	case e.Endpoint == Revoke && len(jar) == 0 && e.Path == "/logout":
		return []string{"--json", `"{\"refreshToken\":\"$REFRESH\"}"`}
	case e.Endpoint == API, e.Endpoint == Devices, e.Endpoint == UserInfo, e.Endpoint == Revoke && len(jar) == 0:
		return append(jar, "-X", shellWord(e.Method), "-H", `"Authorization: Bearer $ACCESS"`)
	}
	return append(jar, "-X", shellWord(e.Method))
}

// shellWord quotes for a POSIX shell.
func shellWord(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// asTest is a Go test that puts a client of the reader's in the same place.
func (s *Server) asTest(e Exchange) string {
	lines := []string{
		"func TestClient(t *testing.T) {",
		fmt.Sprintf("\tsrv := authtest.NewWith(t, authtest.Config{Profile: %q})", s.Profile().Name),
	}
	for _, met := range e.Faults {
		if does, ok := faultLiteral(met, e.Status); ok {
			lines = append(lines, fmt.Sprintf("\tsrv.Fault(authtest.Fault{On: %q, %s})", e.Endpoint, does))
		} else {
			lines = append(lines, "\t// This request also met: "+met)
		}
	}
	return strings.Join(append(lines,
		`	tokens := srv.Login("alice", "laptop")`,
		`	// Give your client the tokens and srv.URL(), and have it call `+fmt.Sprintf("%q", e.Path)+`.`,
		`	_ = tokens`,
		`	for _, v := range srv.Violations() {`,
		`		t.Errorf("the client broke a rule: %v", v)`,
		`	}`,
		`}`), "\n")
}

// faultLiteral is what Fault.describe says, in Go again; false where it does
// not say enough.
func faultLiteral(met string, status int) (string, bool) {
	at, does, _ := strings.Cut(met, " ")
	edit, edited := strings.CutPrefix(does, "edit ")
	switch {
	case does == "drop", does == "reset", does == "hang", does == "twice":
		return fmt.Sprintf("At: %q, %s: true", at, strings.ToUpper(does[:1])+does[1:]), true
	case edited:
		return fmt.Sprintf("At: %q, Edit: %q", at, edit), true
	case does == "answer":
		return fmt.Sprintf("At: %q, Answer: &authtest.Answer{Status: %d}", at, status), true
	}
	return "", false
}
