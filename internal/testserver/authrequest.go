package testserver

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// authRequest is a checked authorization request (RFC 6749 4.1.1, OpenID
// Connect Core 3.1.2.1). It is kept while the user makes up their mind, and
// then with the code.
type authRequest struct {
	Client    string    `json:"client"`
	Redirect  string    `json:"redirect"` // where the answer goes
	Named     bool      `json:"named"`    // the request named it, so the token request must (RFC 6749 4.1.3)
	Scope     string    `json:"scope,omitempty"`
	State     string    `json:"state,omitempty"`
	Nonce     string    `json:"nonce,omitempty"`
	Challenge string    `json:"challenge,omitempty"` // RFC 7636, S256; empty: a confidential client without PKCE
	Prompt    []string  `json:"prompt,omitempty"`
	MaxAge    *int64    `json:"max_age,omitempty"` // seconds
	ACR       []string  `json:"acr,omitempty"`     // any of them will do
	Hint      string    `json:"hint,omitempty"`    // login_hint
	JKT       string    `json:"jkt,omitempty"`     // RFC 9449 10: key that the code is bound to
	Asked     time.Time `json:"asked"`
}

// oauthProblem is an error of RFC 6749 4.1.2.1, or of a document that adds to
// its list.
type oauthProblem struct{ code, description string }

func problem(code, description string) *oauthProblem { return &oauthProblem{code, description} }

func invalidRequest(description string) *oauthProblem { return problem("invalid_request", description) }

// responseTypeOK and the like are patterns of values that come from outside.
var (
	challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)         // RFC 7636 4.2: base64url of a SHA-256
	verifierPattern  = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)   // RFC 7636 4.1
	scopePattern     = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // RFC 6749 3.3
)

// maxParameter bounds what is kept and sent back.
const maxParameter = 2048

// parameter returns the one value of a parameter; empty counts as omitted
// (RFC 6749 3.1).
func parameter(params url.Values, name string) string {
	if v := params[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// readAuthorization checks a request whose client is known. Until the redirect
// URI is found good, a problem must not be sent there: then Redirect is empty.
func (s *Server) readAuthorization(client *registration, params url.Values) (authRequest, *oauthProblem) {
	a := authRequest{
		Client: client.ID, Asked: s.now(), Scope: strings.Join(strings.Fields(params.Get("scope")), " "),
		Nonce: params.Get("nonce"), Challenge: params.Get("code_challenge"),
		Prompt: strings.Fields(params.Get("prompt")), ACR: strings.Fields(params.Get("acr_values")),
		Hint: params.Get("login_hint"), JKT: params.Get("dpop_jkt"),
	}
	if p := a.readRedirect(client, params); p != nil {
		return a, p
	}
	a.State = parameter(params, "state")
	for name, values := range params {
		if len(values) > 1 && name != "resource" { // RFC 6749 3.1; RFC 8707 2 allows several
			return a, invalidRequest("a parameter was given twice")
		}
		if len(values[0]) > maxParameter {
			return a, invalidRequest("a parameter is too long")
		}
	}
	for _, check := range []func(*registration, url.Values) *oauthProblem{
		checkResponse, a.checkChallenge, a.checkScope, a.readPrompt, a.checkACR, s.checkResources,
	} {
		if p := check(client, params); p != nil {
			return a, p
		}
	}
	return a, nil
}

// readRedirect accepts an omitted redirect URI from a client that registered
// exactly one which is a place (RFC 6749 3.1.2.3).
func (a *authRequest) readRedirect(client *registration, params url.Values) *oauthProblem {
	asked := params["redirect_uri"]
	switch {
	case len(asked) > 1:
		return invalidRequest("redirect_uri was given twice")
	case len(asked) == 1 && asked[0] != "":
		if !redirectAllowed(client.Redirects, asked[0]) {
			return invalidRequest("redirect_uri is not registered for this client")
		}
		a.Redirect, a.Named = asked[0], true
	case len(client.Redirects) == 1:
		a.Redirect = client.Redirects[0]
	default:
		return invalidRequest("redirect_uri is missing")
	}
	return nil
}

func checkResponse(client *registration, params url.Values) *oauthProblem {
	mode := params.Get("response_mode")
	switch {
	case params.Get("request") != "":
		return problem("request_not_supported", "request objects are not supported")
	case params.Get("registration") != "":
		return problem("registration_not_supported", "the registration parameter is not supported")
	case params.Get("response_type") == "":
		return invalidRequest("response_type is missing")
	case params.Get("response_type") != "code":
		return problem("unsupported_response_type", "only the code flow is served")
	case mode != "" && mode != "query":
		return invalidRequest("only response_mode query is served")
	case !client.may("authorization_code"):
		return problem("unauthorized_client", "client may not use the code flow")
	}
	return nil
}

// checkChallenge asks public clients for PKCE (RFC 9700 2.1.1). A challenge
// without a method is a plain one (RFC 7636 4.3), which hides nothing.
func (a *authRequest) checkChallenge(client *registration, params url.Values) *oauthProblem {
	method := params.Get("code_challenge_method")
	switch {
	case a.Challenge == "" && method != "":
		return invalidRequest("code_challenge is missing")
	case a.Challenge == "" && client.public():
		return invalidRequest("code_challenge is needed: public clients use PKCE")
	case a.Challenge == "":
		return nil
	case method != "S256":
		return invalidRequest("code_challenge_method must be S256")
	case !challengePattern.MatchString(a.Challenge):
		return invalidRequest("code_challenge is not the base64url form of a SHA-256")
	case a.JKT != "" && !challengePattern.MatchString(a.JKT):
		return invalidRequest("dpop_jkt is not a thumbprint")
	}
	return nil
}

func (a *authRequest) checkScope(client *registration, _ url.Values) *oauthProblem {
	if !scopeAllowed(client, a.Scope) {
		return problem("invalid_scope", "scope is malformed or not the client's")
	}
	return nil
}

// scopeAllowed reports whether a client may ask for a scope.
func scopeAllowed(client *registration, scope string) bool {
	for _, word := range strings.Fields(scope) {
		if !scopePattern.MatchString(word) {
			return false
		}
	}
	return client.Scope == "" || within(scope, client.Scope)
}

// readPrompt reads what OpenID Connect Core 3.1.2.1 says of the login.
func (a *authRequest) readPrompt(_ *registration, params url.Values) *oauthProblem {
	for _, p := range a.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return invalidRequest("prompt is not known")
		}
	}
	if slices.Contains(a.Prompt, "none") && len(a.Prompt) > 1 {
		return invalidRequest("prompt none stands alone")
	}
	if text := params.Get("max_age"); text != "" {
		age, err := strconv.ParseInt(text, 10, 32)
		if err != nil || age < 0 {
			return invalidRequest("max_age is not a number of seconds")
		}
		a.MaxAge = &age
	}
	return nil
}

// checkACR refuses at once what no login here can reach (RFC 9470 5).
func (a *authRequest) checkACR(*registration, url.Values) *oauthProblem {
	if len(a.ACR) > 0 && a.reachable() == "" {
		return problem("unmet_authentication_requirements", "none of the acr_values can be met")
	}
	return nil
}

// reachable is the first acr asked for that a login here can reach, or what a
// login reaches if none is asked for.
func (a *authRequest) reachable() string {
	if len(a.ACR) == 0 {
		return acrPassword
	}
	for _, acr := range a.ACR {
		if acr == acrPassword || acr == acrStrong {
			return acr
		}
	}
	return ""
}

// satisfied reports whether a user who signed in that way need not do so again.
func (a *authRequest) satisfied(who *authentication, now time.Time) bool {
	switch {
	case who == nil,
		a.MaxAge != nil && now.Sub(who.Time) > time.Duration(*a.MaxAge)*time.Second,
		slices.Contains(a.Prompt, "login") && who.Time.Before(a.Asked),
		slices.Contains(a.Prompt, "select_account") && who.Time.Before(a.Asked):
		return false
	}
	// The strong one is worth the other one, too.
	return len(a.ACR) == 0 || slices.Contains(a.ACR, who.ACR) ||
		who.ACR == acrStrong && slices.Contains(a.ACR, acrPassword)
}

// checkResources knows one API (RFC 8707 2).
func (s *Server) checkResources(_ *registration, params url.Values) *oauthProblem {
	for _, r := range params["resource"] {
		if r != s.resource() && r != s.mint.issuer {
			return problem("invalid_target", "resource is not one of this server's")
		}
	}
	return nil
}

// resource is the identifier of the API: the audience of access tokens, and
// what its metadata (RFC 9728) are found by.
func (s *Server) resource() string { return s.mint.issuer + "/api" }

// consent is the document that says what a user let a client do. It holds the
// scope, and lives as long as a session may.
const kindConsent = "consent"

func consentID(user, client string) string { return documentID(user + "\x00" + client) }

// consented reports whether the user said yes to all of it before.
func (s *Server) consented(ctx context.Context, user string, a authRequest) (bool, error) {
	granted, err := readDocument[string](ctx, s.documents, s.now(), kindConsent, consentID(user, a.Client))
	return granted != nil && within(a.Scope, *granted), err
}

// consent remembers the user's yes, on top of earlier ones.
func (s *Server) consent(ctx context.Context, user string, a authRequest) error {
	now, id := s.now(), consentID(user, a.Client)
	fresh, err := putDocument(ctx, s.documents, now, kindConsent, id, a.Scope, now.Add(s.policy.AbsoluteTTL))
	if fresh || err != nil {
		return err
	}
	return updateDocument(ctx, s.documents, now, kindConsent, id, func(granted *string) error {
		words := append(strings.Fields(*granted), strings.Fields(a.Scope)...)
		slices.Sort(words)
		*granted = strings.Join(slices.Compact(words), " ")
		return nil
	})
}
