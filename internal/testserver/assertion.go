package testserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The two uses of an assertion: RFC 7523 2.1 and 2.2.
const (
	grantJWTBearer      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	assertionJWTBearer  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	kindAssertionID     = "assertion-jti"
	maxJWT              = 16 << 10
	assertionLife       = time.Hour       // an assertion that is good for longer is refused
	assertionClockDrift = 5 * time.Second // how far ahead a client's clock may be
)

// errAssertion says no more than that: an assertion is a credential.
var errAssertion = errors.New("testserver: assertion refused")

// errReplayed says that an id was used before.
var errReplayed = errors.New("testserver: used before")

// peekAssertion reads the issuer of an assertion whose signature nobody has
// checked: it says whose keys to check it with.
func peekAssertion(assertion string) (issuer string, ok bool) {
	var c jwt.RegisteredClaims
	if len(assertion) > maxJWT {
		return "", false
	}
	_, _, err := jwt.NewParser().ParseUnverified(assertion, &c)
	return c.Issuer, err == nil && c.Issuer != ""
}

// readSigned checks the signature of a JWT with one of keys: with those that
// it names, if it names one.
func readSigned(token string, keys []verifyKey, c jwt.Claims) error {
	if len(token) > maxJWT {
		return errAssertion
	}
	p := jwt.NewParser(jwt.WithValidMethods(asymmetric()), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err := p.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // RFC 7515 4.1.11: nothing of it is understood here
			return nil, errAssertion
		}
		id, _ := t.Header["kid"].(string)
		var set jwt.VerificationKeySet
		for _, k := range keys {
			if suits(t.Method.Alg(), k.key) && (id == "" || k.id == "" || id == k.id) {
				set.Keys = append(set.Keys, k.key)
			}
		}
		if len(set.Keys) == 0 {
			return nil, errAssertion
		}
		return set, nil
	})
	if err != nil {
		return errAssertion // never err: it may quote the token
	}
	return nil
}

// checkAssertion is RFC 7523 3: issuer, subject (as wanted, or any), audience,
// times and an id that was not seen before. The id is used up last, so that an assertion
// refused for anything else can still be presented where it belongs.
func (s *Server) checkAssertion(ctx context.Context, assertion string, keys []verifyKey, issuer, wanted string) (subject string, err error) {
	var c jwt.RegisteredClaims
	if err := readSigned(assertion, keys, &c); err != nil {
		return "", err
	}
	now := s.now()
	ours := slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(s.audiences(), a) })
	switch {
	case c.Issuer != issuer, c.Subject == "", wanted != "" && c.Subject != wanted, c.ID == "", !ours,
		c.ExpiresAt == nil, !now.Before(c.ExpiresAt.Time), c.ExpiresAt.After(now.Add(assertionLife)),
		c.NotBefore != nil && c.NotBefore.After(now.Add(assertionClockDrift)),
		c.IssuedAt != nil && c.IssuedAt.After(now.Add(assertionClockDrift)):
		return "", errAssertion
	}
	fresh, err := s.documents.put(ctx, now, kindAssertionID, hash64([]byte(issuer+"\x00"+c.ID)), nil, c.ExpiresAt.Time)
	if err != nil {
		return "", err
	}
	if !fresh {
		return "", errReplayed
	}
	return c.Subject, nil
}

// audiences are the names of this server that an assertion may bear: RFC 7523
// 3 allows the token endpoint, and newer work wants the issuer.
func (s *Server) audiences() []string {
	return []string{s.mint.issuer, s.mint.issuer + "/oauth/token"}
}
