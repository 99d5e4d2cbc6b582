package testserver

import (
	"cmp"
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// oauthToken is POST /oauth/token. The form is read first, because the grant
// says which endpoint it is to faults, gates and the book.
func (s *Server) oauthToken(w http.ResponseWriter, r *http.Request) {
	form, refusal := readForm(w, r)
	s.token(&exchange{w: w, r: r}, form, refusal, func(g grant) handler { return s.asClient(form, g) })
}

// token finds the grant for the form; as lets the client prove itself first.
func (s *Server) token(x *exchange, form url.Values, refusal *reply, as func(grant) handler) {
	if refusal != nil {
		s.run(x, s.worded(func(*exchange) (*reply, func() reply) { return refusal, nil }))
		return
	}
	x.client = claimedBy(x.r, form)
	grant := s.unknownGrant
	switch form.Get("grant_type") {
	case "refresh_token":
		x.endpoint, x.presented, grant = Refresh, form.Get("refresh_token"), s.grantRefresh
	case "password":
		x.endpoint, grant = Authenticate, s.bound(s.grantPassword)
	case "client_credentials":
		x.endpoint, grant = ClientCredentials, s.bound(s.grantClient)
	case grantJWTBearer:
		x.endpoint, grant = Assertion, s.bound(s.grantAssertion)
	case grantExchange:
		x.endpoint, grant = TokenExchange, s.bound(s.grantTokenExchange)
	case "authorization_code":
		x.endpoint, grant = RedeemCode, s.bound(s.grantCode)
	case deviceGrantType:
		x.endpoint, grant = PollDevice, s.bound(s.grantDevice)
	}
	s.run(x, s.worded(as(grant)))
}

// grant is a handler of the token endpoint for a client that proved itself.
type grant func(x *exchange, client *registration, form url.Values) (*reply, func() reply)

func (s *Server) asClient(form url.Values, g grant) handler {
	return func(x *exchange) (*reply, func() reply) {
		client, refusal := s.authenticate(x, form)
		if refusal != nil {
			return refusal, nil
		}
		return g(x, client, form)
	}
}

func (s *Server) unknownGrant(_ *exchange, _ *registration, form url.Values) (*reply, func() reply) {
	if form.Get("grant_type") == "" {
		return refuse(oauthError(Malformed))
	}
	return refuse(oauthError(GrantUnknown))
}

// grantRefresh is RFC 6749 6. Binding and scope are checked before the
// session's lock, so that neither mistake spends the token.
func (s *Server) grantRefresh(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
	if x.presented == "" {
		return refuse(oauthError(MissingToken))
	}
	r, err := s.find(x.ctx(), x.presented)
	if err != nil {
		return refuse(oauthError(s.unfound(x, err)))
	}
	if r.sess.client != client.ID {
		return refuse(oauthError(WrongClient))
	}
	if outcome := s.bind(x, client, r.sess); outcome != Done {
		return refuse(x.refusal(outcome))
	}
	r.cnf = x.confirmation
	if scope := form.Get("scope"); scope != "" {
		if !within(scope, r.sess.scope) {
			return refuse(oauthError(WiderScope))
		}
		r.scope = scope
	}
	return nil, func() reply { return s.settle(x, r, oauthTokens, oauthError) }
}

// settle redeems and books, in the dialect of the two writers.
func (s *Server) settle(x *exchange, r redemption, good func(Tokens, Outcome) reply, bad func(Outcome) reply) reply {
	delivered := s.ledger.wasDelivered(r.hash)
	tokens, outcome, err := s.redeem(x.ctx(), r)
	if err != nil {
		outcome = s.failure(x, err)
	}
	rules := s.rules().Replay
	s.ledger.settle(outcome, rules.replayed(outcome))
	if outcome.returned() && !rules.held(outcome) {
		s.ledger.returned(x, r.hash, delivered, s.now())
	}
	if !outcome.granted() {
		return bad(outcome)
	}
	r.childless = tokens.Refresh == "" || tokens.Refresh == r.token
	x.redeemed = &r
	return good(tokens, outcome)
}

// grantPassword is RFC 6749 4.3, for first-party tests alone.
func (s *Server) grantPassword(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
	name := form.Get("username")
	if outcome := s.signIn(x, name, form.Get("password")); outcome != LoggedIn {
		return refuse(oauthError(outcome))
	}
	return nil, func() reply {
		tokens, err := s.enterBy(x, session{
			user: name, client: client.ID, device: deviceOf(x, form.Get("device")),
			scope: form.Get("scope"), acr: acrOf(form.Get("otp")),
		}, start{})
		if err != nil {
			return oauthError(s.failure(x, err))
		}
		s.ledger.count(func(st *Stats) { st.Logins++ })
		return oauthTokens(tokens, LoggedIn)
	}
}

// grantClient is RFC 6749 4.4: for confidential clients alone.
func (s *Server) grantClient(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
	if client.public() {
		return refuse(oauthError(GrantRefused))
	}
	return nil, func() reply {
		tokens, err := s.enterBy(x, session{client: client.ID, scope: form.Get("scope")}, start{bare: true})
		if err != nil {
			return oauthError(s.failure(x, err))
		}
		return oauthTokens(tokens, Minted)
	}
}

// oauthRevoke is RFC 7009: a refresh token ends its session, an access token
// itself. What is unknown, or another client's, is answered alike.
func (s *Server) oauthRevoke(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, endpoint: Revoke}
	form, refusal := readForm(w, r)
	x.client = claimedBy(x.r, form)
	if refusal != nil {
		s.run(x, func(*exchange) (*reply, func() reply) { return refusal, nil })
		return
	}
	s.run(x, s.asClient(form, func(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
		token := form.Get("token")
		if token == "" {
			return refuse(oauthError(MissingToken))
		}
		return nil, func() reply {
			if err := s.revokeToken(x.ctx(), client.ID, token); err != nil {
				return oauthError(s.failure(x, err))
			}
			return emptyReply(http.StatusOK, LoggedOut)
		}
	}))
}

func (s *Server) revokeToken(ctx context.Context, client, token string) error {
	r, err := s.find(ctx, token)
	if err == nil {
		if r.sess.client != client {
			return nil
		}
		return s.revoke(ctx, r.sess.id, "revoked")
	}
	if !errors.Is(err, errNoSession) {
		return err
	}
	if c, err := s.mint.readAccess(token); err == nil && c.Client == client {
		return s.revokeAccess(ctx, c)
	}
	return nil
}

// revokeAccess puts one access token on the blacklist.
func (s *Server) revokeAccess(ctx context.Context, c claims) error {
	err := s.store.update(ctx, c.Session, func(t *tx) error {
		a, err := t.accessToken(c.ID)
		if err == nil && a.revoked.IsZero() {
			now := s.now()
			a.revoked = now
			t.putAccess(a, now)
		}
		return err
	})
	if errors.Is(err, errNoSession) || errors.Is(err, errNoToken) {
		return nil // forgotten: it is as invalid as it can be
	}
	return err
}

// readForm reads the body of RFC 6749 3.2: form-encoded, parameters from the
// body alone, none twice.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *reply) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		media != "application/x-www-form-urlencoded" {
		rep := oauthError(WrongType)
		return nil, &rep
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	outcome := Malformed
	err := r.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		outcome = TooLarge
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			err = errors.New("testserver: a parameter was given twice")
		}
	}
	if err != nil {
		rep := oauthError(outcome)
		return nil, &rep
	}
	return r.PostForm, nil
}

// oauthTokens is RFC 6749 5.1.
func oauthTokens(t Tokens, o Outcome) reply {
	rep := jsonReply(http.StatusOK, o, struct {
		Access  string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"`
		Refresh string `json:"refresh_token,omitempty"`
		ID      string `json:"id_token,omitempty"`
		Scope   string `json:"scope,omitempty"`
	}{t.Access, t.Type, seconds(t.ExpiresIn), t.Refresh, t.ID, t.Scope})
	rep.message, rep.tokens = cmp.Or(t.Refresh, t.Access), &t
	return rep
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// within reports whether every scope asked for was granted.
func within(asked, granted string) bool {
	have := strings.Fields(granted)
	for _, scope := range strings.Fields(asked) {
		if !slices.Contains(have, scope) {
			return false
		}
	}
	return true
}

// deviceOf falls back on what the client calls itself.
func deviceOf(x *exchange, name string) string {
	if name == "" {
		return x.r.UserAgent()
	}
	return name
}
