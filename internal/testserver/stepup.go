package testserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// acrOf says what a password counts for, with or without a code beside it. Any
// six digits are a code: there is no device to make the right ones.
func acrOf(otp string) string {
	if len(otp) == 6 && strings.Trim(otp, "0123456789") == "" {
		return acrStrong
	}
	return acrPassword
}

// demand is how a user must have proven to be there: RFC 9470 3.
type demand struct {
	acr    []string // one of these; none: any
	maxAge int64    // at most so many seconds ago; negative: any
}

// readDemand reads acr (several: separated by spaces) and max_age. Without
// either it wants a strong login of the last minute.
func readDemand(query url.Values) (demand, bool) {
	d := demand{acr: strings.Fields(query.Get("acr")), maxAge: -1}
	for _, value := range d.acr {
		// They are repeated in the challenge, inside of quotes: RFC 6750 3.
		if strings.ContainsFunc(value, func(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' }) {
			return demand{}, false
		}
	}
	if text := query.Get("max_age"); text != "" {
		age, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return demand{}, false
		}
		d.maxAge = int64(age)
	}
	if len(d.acr) == 0 && d.maxAge < 0 {
		d = demand{acr: []string{acrStrong}, maxAge: 60}
	}
	return d, true
}

// metBy judges by what the token says, as an API far from its authorization
// server must (RFC 9470 6): a refresh never makes a login fresher.
func (d demand) metBy(c claims, now time.Time) bool {
	if len(d.acr) > 0 && !slices.Contains(d.acr, c.ACR) {
		return false
	}
	return d.maxAge < 0 || c.AuthTime != nil && now.Unix()-c.AuthTime.Unix() <= d.maxAge
}

// stepUp asks for another login: RFC 9470 3 for OAuth clients, a bare 403 in
// the first-party dialect.
func (s *Server) stepUp(d demand) reply {
	if s.Profile().Dialect == JSON {
		return jsonError(StepUp)
	}
	params := `, error="insufficient_user_authentication", error_description="Re-authentication required"`
	if len(d.acr) > 0 {
		params += fmt.Sprintf(", acr_values=%q", strings.Join(d.acr, " "))
	}
	if d.maxAge >= 0 {
		params += fmt.Sprintf(`, max_age="%d"`, d.maxAge)
	}
	rep := challenge(StepUp, params)
	rep.Status = http.StatusUnauthorized
	return rep
}

// apiStepUp is an action that not every login is good enough for.
func (s *Server) apiStepUp(x *exchange, c claims) reply {
	d, ok := readDemand(x.r.URL.Query())
	if !ok {
		return jsonError(Malformed)
	}
	if !d.metBy(c, s.now()) {
		return s.stepUp(d)
	}
	return jsonReply(http.StatusOK, Done, struct {
		ACR      string           `json:"acr"`
		AuthTime *jwt.NumericDate `json:"auth_time"`
	}{c.ACR, c.AuthTime})
}

// authorizeSensitive is authorize for what a stolen token must not do.
func (s *Server) authorizeSensitive(x *exchange) (claims, *reply) {
	c, refusal := s.authorize(x)
	if refusal != nil || s.fresh == 0 {
		return c, refusal
	}
	d := demand{maxAge: seconds(s.fresh)}
	if d.metBy(c, s.now()) {
		return c, nil
	}
	rep := s.stepUp(d)
	return claims{}, &rep
}

// jsonReauthenticate is POST /reauthenticate: the user of a session proves
// again to be there, and the session goes on. The access tokens it had are
// what they were.
func (s *Server) jsonReauthenticate(x *exchange, body credentials) (*reply, func() reply) {
	c, refusal := s.authorize(x)
	if refusal != nil {
		return refusal, nil
	}
	if outcome := s.signIn(x, c.Subject, body.Password); outcome != LoggedIn {
		return refuse(jsonError(outcome))
	}
	return nil, func() reply {
		var tokens Tokens
		err := s.store.update(x.ctx(), c.Session, func(t *tx) (err error) {
			now := s.now()
			t.session.acr, t.session.authTime = acrOf(body.OTP), now
			var row accessToken
			if tokens, row, err = s.mintAccess(t.session, "", c.Scope, c.bound(), now); err == nil {
				t.putAccess(row, now)
			}
			return err
		})
		if err != nil {
			return jsonError(s.failure(x, err))
		}
		return jsonReply(http.StatusOK, Reauthenticated, struct {
			Access  string `json:"accessToken"`
			Expires int64  `json:"expiresIn"`
		}{tokens.Access, seconds(tokens.ExpiresIn)})
	}
}
