package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// The seam between the endpoints and the pages on which a user decides. A
// request that needs the user waits as a document, and the browser is sent to
// interactionPath with its id. The page looks it up with pending, signs the
// user in where needed (signInBrowser), and ends it with approve or deny. A
// device waits in the same way under the code that the user types: see
// pendingDevice, approveDevice and denyDevice.
const (
	interactionPath = "/oauth/interaction" // ?request=<id>
	logoutPath      = "/oauth/logout"      // ?request=<id>, ended by confirmLogout
	loggedOutPath   = "/oauth/logged_out"
	devicePath      = "/device" // ?user_code=<code>
)

const (
	kindPending = "authorization"
	kindCode    = "code"
)

// How long a user may take, and a client to redeem what the user gave it.
const (
	pendingLife = 10 * time.Minute
	codeLife    = time.Minute // RFC 6749 4.1.2: ten minutes at the most
)

var (
	// errNoRequest says that a request is unknown, over or answered.
	errNoRequest = errors.New("testserver: no such authorization request")
	// errLoginNeeded says that the user must sign in, again or more strongly.
	errLoginNeeded = errors.New("testserver: the request asks for another login")
)

// pending is an authorization request that waits for the user.
type pending struct {
	ID string
	authRequest
	Client    *registration
	User      string // who is signed in in this browser; empty for nobody
	NeedLogin bool   // nobody, or not recently or strongly enough
	NeedACR   string // what the login has to reach
}

// await keeps a request for the user, and returns its id.
func (s *Server) await(ctx context.Context, a authRequest) (id string, err error) {
	id = rand.Text()
	_, err = putDocument(ctx, s.documents, s.now(), kindPending, id, a, s.now().Add(pendingLife))
	return id, err
}

// pending looks up what the user is to decide. who is what signedIn returned.
func (s *Server) pending(ctx context.Context, id string, who *authentication) (*pending, error) {
	a, err := readDocument[authRequest](ctx, s.documents, s.now(), kindPending, id)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, errNoRequest
	}
	client, err := s.client(ctx, a.Client)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, errNoRequest
	}
	p := &pending{
		ID: id, authRequest: *a, Client: client,
		NeedLogin: !a.satisfied(who, s.now()), NeedACR: a.reachable(),
	}
	if who != nil {
		p.User = who.User
	}
	return p, nil
}

// approve is the user's yes. It returns where to send the browser, or
// errLoginNeeded if the request wants more than this login.
func (s *Server) approve(ctx context.Context, id string, who *authentication) (location string, err error) {
	p, err := s.pending(ctx, id, who)
	if err != nil {
		return "", err
	}
	if p.NeedLogin || !s.mayEnter(ctx, who.User) {
		return "", errLoginNeeded
	}
	a, err := takeDocument[authRequest](ctx, s.documents, s.now(), kindPending, id)
	if err != nil {
		return "", err
	}
	if a == nil { // somebody was faster
		return "", errNoRequest
	}
	if err := s.consent(ctx, who.User, *a); err != nil {
		return "", err
	}
	return s.issueCode(ctx, *a, *who)
}

// deny is the user's no. It returns where to send the browser.
func (s *Server) deny(ctx context.Context, id string) (location string, err error) {
	a, err := takeDocument[authRequest](ctx, s.documents, s.now(), kindPending, id)
	if err != nil {
		return "", err
	}
	if a == nil {
		return "", errNoRequest
	}
	return s.refusal(*a, problem("access_denied", "the user said no")), nil
}

// refusal is where the browser takes an error (RFC 6749 4.1.2.1).
func (s *Server) refusal(a authRequest, p *oauthProblem) string {
	answer := url.Values{"error": {p.code}, "error_description": {p.description}, "iss": {s.mint.issuer}}
	if a.State != "" {
		answer.Set("state", a.State)
	}
	return withQuery(a.Redirect, answer)
}

// grantedCode is what an authorization code stands for. It outlives its code:
// one that comes back must be recognised for as long as there is something to
// revoke (RFC 6749 4.1.2).
type grantedCode struct {
	authRequest
	Who      authentication `json:"who"`
	Expires  time.Time      `json:"expires"`
	Session  string         `json:"session,omitempty"`  // begun with it
	Replayed bool           `json:"replayed,omitempty"` // it came back
}

// issueCode returns where the browser takes the code. It goes with iss (RFC
// 9207), so that a client of several servers knows whose it is.
func (s *Server) issueCode(ctx context.Context, a authRequest, who authentication) (location string, err error) {
	now, code := s.now(), "ac_"+rand.Text()
	granted := grantedCode{authRequest: a, Who: who, Expires: now.Add(codeLife)}
	_, err = putDocument(ctx, s.documents, now, kindCode, documentID(code), granted, now.Add(s.policy.AbsoluteTTL))
	if err != nil {
		return "", err
	}
	answer := url.Values{"code": {code}, "iss": {s.mint.issuer}}
	if a.State != "" {
		answer.Set("state", a.State)
	}
	return withQuery(a.Redirect, answer), nil
}

// Approve answers an authorization request as a user who signs in and says yes
// would, without a browser: it takes the URL that a client would open, and
// returns the one that the browser would be sent to, code and all. A request
// that is refused comes back as an error where no redirect is possible, and as
// a redirect with the error where one is.
func (s *Server) Approve(ctx context.Context, authorizationURL, user string) (redirect string, err error) {
	a, redirect, err := s.openDirectly(ctx, authorizationURL)
	if err != nil || redirect != "" {
		return redirect, err
	}
	if !s.mayEnter(ctx, user) {
		return "", errUnknownUser
	}
	return s.issueCode(ctx, a, authentication{User: user, Time: s.now(), ACR: a.reachable()})
}

// Deny answers an authorization request as a user who says no.
func (s *Server) Deny(ctx context.Context, authorizationURL string) (redirect string, err error) {
	a, redirect, err := s.openDirectly(ctx, authorizationURL)
	if err != nil || redirect != "" {
		return redirect, err
	}
	return s.refusal(a, problem("access_denied", "the user said no")), nil
}

// openDirectly reads the request in a URL; redirect is set if it is refused.
func (s *Server) openDirectly(ctx context.Context, raw string) (a authRequest, redirect string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return a, "", errNoRequest // never err: it quotes the URL
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, "", errNoRequest
	}
	a, spent, p, err := s.resolve(ctx, params)
	switch {
	case err != nil:
		return a, "", err
	case p != nil && a.Redirect == "":
		return a, "", fmt.Errorf("testserver: the authorization request is refused: %s: %s", p.code, p.description)
	case p != nil:
		return a, s.refusal(a, p), nil
	case slices.Contains(a.Prompt, "none"): // nobody is signed in in no browser
		return a, s.refusal(a, problem("login_required", "nobody is signed in")), nil
	}
	if ok, err := s.spend(ctx, spent); err != nil || !ok {
		return a, "", errors.Join(errNoRequest, err)
	}
	return a, "", nil
}
