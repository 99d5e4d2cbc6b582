package testserver

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// kindProofID is the kind of the documents that remember the proofs seen.
const kindProofID = "dpop-jti"

// A proof is good for proofLife after it was made, and may come from a clock
// that is proofDrift ahead (RFC 9449 4.3, 11th check, and 11.1).
const (
	proofLife  = time.Minute
	proofDrift = 5 * time.Second
)

// errProof says no more than that; which check failed is named by proofError.
var errProof = errors.New("testserver: DPoP proof refused")

// proofError names the check of RFC 9449 4.3 that a proof did not pass. Its
// text comes from the list below and never from the proof.
type proofError string

func (e proofError) Error() string        { return "testserver: DPoP proof refused: " + string(e) }
func (e proofError) Is(target error) bool { return target == errProof }

const (
	proofMissing   proofError = "no DPoP header"
	proofTwice     proofError = "more than one DPoP header"
	proofMalformed proofError = "not a JWT signed with the key in its header"
	proofType      proofError = "typ is not dpop+jwt"
	proofAlgorithm proofError = "alg is not an asymmetric one that suits the key"
	proofKey       proofError = "jwk is not a public key"
	proofClaims    proofError = "jti, htm, htu and iat are needed"
	proofMethod    proofError = "htm is not the method of the request"
	proofURL       proofError = "htu is not the URL of the request"
	proofTime      proofError = "iat is too far from now"
	proofToken     proofError = "ath is not the hash of the access token"
	proofBinding   proofError = "the key is not the one the token is bound to"
	proofReplayed  proofError = "jti was used before"
	proofNonce     proofError = "a nonce is needed"
)

// dpopClaims are those of RFC 9449 4.2.
type dpopClaims struct {
	jwt.RegisteredClaims
	Method string `json:"htm"`
	URL    string `json:"htu"`
	Hash   string `json:"ath"`
	Nonce  string `json:"nonce"`
}

// parseProof makes the checks that need nothing but the proof: its form, type,
// algorithm, key and signature.
func parseProof(proof string) (c dpopClaims, thumbprint string, err error) {
	if len(proof) > maxJWT {
		return c, "", proofMalformed
	}
	why := proofMalformed
	p := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err = p.ParseWithClaims(proof, &c, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // RFC 7515 4.1.11
			return nil, errProof
		}
		if typ, _ := t.Header["typ"].(string); !strings.EqualFold(typ, "dpop+jwt") {
			why = proofType
			return nil, errProof
		}
		raw, err := json.Marshal(t.Header["jwk"])
		if err != nil {
			return nil, errProof
		}
		why = proofKey
		key, print, err := parseJWK(raw)
		if err != nil {
			return nil, errProof
		}
		if why = proofAlgorithm; !suits(t.Method.Alg(), key.key) {
			return nil, errProof
		}
		thumbprint, why = print, proofMalformed
		return key.key, nil
	})
	switch {
	case err != nil:
		return c, "", why
	case c.ID == "" || c.Method == "" || c.URL == "" || c.IssuedAt == nil:
		return c, "", proofClaims
	}
	return c, thumbprint, nil
}

// place says where a proof is shown. A nonce of the token endpoint is none of
// the API's (RFC 9449 9), although both are this server.
type place string

const (
	atAuthorization place = "as" // RFC 9449 5
	atResource      place = "rs" // RFC 9449 7
)

// checkProof is RFC 9449 4.3 in full for the request of x, which shows access
// (empty at the token endpoint), a token that is bound to the key jkt (empty:
// to any). The jti is used up last: a proof that is refused for anything else
// has not been seen.
func (s *Server) checkProof(x *exchange, at place, access, jkt string) (thumbprint string, err error) {
	headers := x.r.Header.Values("Dpop")
	switch len(headers) {
	case 0:
		return "", proofMissing
	case 1:
	default:
		return "", proofTwice
	}
	c, thumbprint, err := parseProof(headers[0])
	if err != nil {
		return "", err
	}
	now := s.now()
	switch {
	case c.Method != x.r.Method:
		return "", proofMethod
	case !sameURL(c.URL, s.urlOf(x.r)):
		return "", proofURL
	case access != "" && subtle.ConstantTimeCompare([]byte(c.Hash), []byte(hash64([]byte(access)))) != 1:
		return "", proofToken
	case jkt != "" && jkt != thumbprint:
		return "", proofBinding
	}
	if err := s.checkNonce(x, at, c, now); err != nil {
		return "", err
	}
	id := hash64([]byte(thumbprint + "\x00" + c.ID))
	fresh, err := s.documents.put(x.r.Context(), now, kindProofID, id, nil, now.Add(s.nonces.memory()))
	if err != nil {
		return "", err
	}
	if !fresh {
		return "", proofReplayed
	}
	return thumbprint, nil
}

// checkNonce judges how fresh the proof is: by the nonce, which this server
// has dated itself, or else by the client's own clock (4.3, 10th and 11th).
func (s *Server) checkNonce(x *exchange, at place, c dpopClaims, now time.Time) error {
	if s.nonces.mode == NoNonces {
		if c.IssuedAt.Before(now.Add(-proofLife)) || c.IssuedAt.After(now.Add(proofDrift)) {
			return proofTime
		}
		return nil
	}
	good := s.nonces.good(at, c.Nonce, now)
	if good && s.nonces.mode == SingleUseNonces {
		var err error
		good, err = s.documents.put(x.r.Context(), now, kindNonce, c.Nonce, nil, now.Add(s.nonces.memory()))
		if err != nil {
			return err
		}
	}
	// RFC 9449 8.2: the newest is told in every answer, also in a good one.
	x.w.Header().Set("DPoP-Nonce", s.nonces.issue(at, now))
	if !good {
		return proofNonce
	}
	return nil
}

// urlOf is what the client must have asked for: the server's own name, never
// what the Host header says.
func (s *Server) urlOf(r *http.Request) *url.URL {
	u := *s.base
	if full, err := url.Parse(s.path + r.URL.EscapedPath()); err == nil {
		u.Path, u.RawPath = full.Path, full.RawPath
	}
	return &u
}

// sameURL compares after the normalisation of RFC 3986 6.2.2 and 6.2.3, and
// ignores query and fragment, as RFC 9449 4.3 tells.
func sameURL(claimed string, want *url.URL) bool {
	got, err := url.Parse(claimed)
	return err == nil && got.User == nil && strings.EqualFold(got.Scheme, want.Scheme) &&
		authority(got) == authority(want) && path(got) == path(want)
}

func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// path writes every letter in one way (RFC 3986 6.2.2.2). A slash that was
// encoded stays another thing than a slash.
func path(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		if plain, err := url.PathUnescape(segment); err == nil {
			segments[i] = url.PathEscape(plain)
		}
	}
	if joined := strings.Join(segments, "/"); joined != "" {
		return joined
	}
	return "/"
}
