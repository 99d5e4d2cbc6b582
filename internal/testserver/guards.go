package testserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/url"
	"slices"
	"time"
)

// guards are what stands between a request and the tokens, beside the clients'
// own proofs.
type guards struct {
	base    *url.URL // what the server is called, for htu
	nonces  *nonces
	limits  *limiter
	issuers []AssertionIssuer
	fresh   time.Duration // Config.SensitiveMaxAge
}

// AssertionIssuer may vouch for users: the assertions it signs are grants (RFC
// 7523 2.1).
type AssertionIssuer struct {
	Issuer string // the iss of its assertions
	JWKS   []byte // its keys
}

func newGuards(cfg Config, issuer *url.URL, keys *mint) guards {
	return guards{
		base:    &url.URL{Scheme: issuer.Scheme, Host: issuer.Host},
		nonces:  &nonces{mode: cfg.DPoPNonces, period: cfg.DPoPNoncePeriod, key: keys.derived("dpop-nonce")},
		limits:  newLimiter(cfg.RateLimits),
		fresh:   cfg.SensitiveMaxAge,
		issuers: slices.Clone(cfg.AssertionIssuers),
	}
}

// derived makes a key for one purpose from the one that is kept, so that every
// process over the same keys has the same.
func (m *mint) derived(purpose string) []byte {
	mac := hmac.New(sha256.New, m.Derive)
	mac.Write([]byte("key\x00" + purpose))
	return mac.Sum(nil)
}

func (c Config) checkSecurity() (errs []error) {
	if err := c.RateLimits.check(); err != nil {
		errs = append(errs, err)
	}
	if c.DPoPNonces > SingleUseNonces || c.Access > OpaqueAccess {
		errs = append(errs, errors.New("testserver: DPoPNonces and Access must be one of their constants"))
	}
	if c.SensitiveMaxAge < 0 {
		errs = append(errs, errors.New("testserver: SensitiveMaxAge must not be negative"))
	}
	if c.DPoPNoncePeriod < time.Second {
		errs = append(errs, errors.New("testserver: DPoPNoncePeriod must be at least a second"))
	}
	for _, client := range c.Clients {
		if err := client.checkCredentials(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, i := range c.AssertionIssuers {
		if _, err := parseJWKS(i.JWKS); err != nil || i.Issuer == "" {
			errs = append(errs, errors.New("testserver: an AssertionIssuer needs a name and a JSON Web Key Set"))
		}
	}
	return errs
}

// checkCredentials says whether the client has what its method needs.
func (c Client) checkCredentials() error {
	has := false
	switch c.Auth {
	case AnyMethod:
		has = true
	case NoMethod:
		has = c.Secret == "" && c.keySet() == nil && c.Certificate == ""
	case SecretBasic, SecretPost:
		has = c.Secret != ""
	case PrivateKeyJWT:
		has = c.keySet() != nil
	case SelfSignedTLS:
		has = c.Certificate != "" || len(certificatesIn(c.JWKS)) > 0
	}
	if !has {
		return errors.New("testserver: a client has not what its Auth method needs")
	}
	if raw, err := decode64(c.Certificate); err != nil || len(raw) != 0 && len(raw) != sha256.Size {
		return errors.New("testserver: a client's Certificate is no x5t#S256")
	}
	if len(c.Keys) > 0 && len(c.JWKS) > 0 {
		return errors.New("testserver: a client has Keys or a JWKS, not both")
	}
	if set := c.keySet(); set != nil || len(c.Keys) > 0 {
		if _, err := parseJWKS(set); err != nil && len(certificatesIn(set)) == 0 {
			return errors.New("testserver: a client's keys cannot be used")
		}
	}
	return nil
}

// keySet is nil for a client without keys, and for keys that cannot be written.
func (c Client) keySet() []byte {
	if len(c.Keys) == 0 {
		return slices.Clone(c.JWKS)
	}
	set, err := encodeJWKS(c.Keys)
	if err != nil {
		return nil
	}
	return set
}
