package main

import (
	"errors"
	"flag"
	"strconv"
	"strings"
	"time"

	"github.com/seed-9a12f4e2/pawl/internal/testserver"
)

// behaviour are the flags that only some tests need.
type behaviour struct {
	approver       string
	algorithm      string
	accessSecret   string
	opaque         bool
	deviceInterval time.Duration
	nonces         testserver.NonceMode
	limits         testserver.RateLimits
	stepUp         time.Duration
	earlyRefresh   time.Duration
	tokenDelay     time.Duration
	tellExpiry     bool
	insecureCookie bool
	issuers        []extraIssuer
}

type extraIssuer struct{ name, profile string }

func (b *behaviour) flags(flags *flag.FlagSet) {
	flags.StringVar(&b.approver, "auto-approve", "", "`user` who signs in and agrees to everything without a page being shown")
	flags.StringVar(&b.algorithm, "alg", "", "`name` of what signs access tokens: ES256, RS256, EdDSA or HS256 (default ES256)")
	flags.StringVar(&b.accessSecret, "access-secret", "", "the shared `secret` of -alg HS256, 32 bytes or more; drawn unless given")
	flags.BoolVar(&b.opaque, "opaque", false, "issue access tokens that only introspection can read")
	lifetime(flags, &b.deviceInterval, "device-interval", "how long a device waits between two polls (default 5s)")
	flags.Func("dpop-nonces", "`kind` of nonce that DPoP proofs need: timed or single-use (default none)", b.readNonces)
	flags.Func("rate-limit", "`who=burst/every`: ip=20/100ms lets 20 requests of an address through at once and one more each 100 ms; also client= and session=; may be repeated", b.readLimit)
	lifetime(flags, &b.stepUp, "step-up", "how old a login may be for /logout-all and DELETE /sessions/{id} (default: any age)")
	lifetime(flags, &b.earlyRefresh, "early-refresh", "a refresh is a violation while the access token is good for longer than this (default: not judged)")
	lifetime(flags, &b.tokenDelay, "token-delay", "latency of a refresh (default none)")
	flags.BoolVar(&b.tellExpiry, "tell-expiry", false, "add refresh_token_timeout and authorization_expires_in to token answers")
	flags.BoolVar(&b.insecureCookie, "insecure-cookie", false, "leave Secure out of the session cookie, for clients that do not send one over plain HTTP to loopback")
	flags.Func("extra-issuer", "`name[:profile]` of one more issuer, at /issuers/name, with everything of its own; may be repeated", func(s string) error {
		name, profile, _ := strings.Cut(s, ":")
		b.issuers = append(b.issuers, extraIssuer{name, profile})
		return nil
	})
}

func (b *behaviour) readNonces(s string) error {
	modes := map[string]testserver.NonceMode{"timed": testserver.TimedNonces, "single-use": testserver.SingleUseNonces}
	mode, ok := modes[s]
	if !ok {
		return errors.New("want timed or single-use")
	}
	b.nonces = mode
	return nil
}

func (b *behaviour) readLimit(s string) error {
	who, limit, _ := strings.Cut(s, "=")
	burst, every, _ := strings.Cut(limit, "/")
	n, badBurst := strconv.Atoi(burst)
	d, badEvery := parseDuration(every)
	rates := map[string]*testserver.Rate{"ip": &b.limits.IP, "client": &b.limits.Client, "session": &b.limits.Session}
	if errors.Join(badBurst, badEvery) != nil || rates[who] == nil || n < 1 || d <= 0 {
		return errors.New("want ip, client or session, and a limit such as =20/100ms")
	}
	*rates[who] = testserver.Rate{Burst: n, Every: d}
	return nil
}

func (b *behaviour) apply(cfg *testserver.Config) {
	cfg.AutoApprove, cfg.SigningAlgorithm = b.approver, testserver.Algorithm(b.algorithm)
	cfg.AccessSecret = []byte(b.accessSecret)
	if b.opaque {
		cfg.Access = testserver.OpaqueAccess
	}
	cfg.DeviceInterval, cfg.DPoPNonces, cfg.RateLimits = b.deviceInterval, b.nonces, b.limits
	cfg.SensitiveMaxAge, cfg.EarlyRefresh, cfg.TokenDelay = b.stepUp, b.earlyRefresh, b.tokenDelay
	cfg.TellExpiry, cfg.InsecureCookie = b.tellExpiry, b.insecureCookie
}
